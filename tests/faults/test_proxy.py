"""What the worker makes of a commit whose answer, or whose request, went another way than usual."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException

from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_streams.batch import Outcome
from scoreline_streams.transactions import Transactions
from tests.faults.chaos.proxy import END_TXN, Disturbance, How, Proxy
from tests.support import environment, read_topic


@pytest.fixture
def proxy(settings: Settings) -> Iterator[tuple[Proxy, Settings]]:
    """A proxy, and the settings of one who is behind it; the topics exist."""
    subprocess.run([sys.executable, "-m", "scoreline.cli", "topics"], env=environment(settings), check=True)
    proxy = Proxy(settings.kafka.split(","))
    behind = settings.model_copy(update={"kafka": proxy.start()})
    yield proxy, behind
    proxy.stop()


def _opened(settings: Settings) -> Transactions:
    transactions = Transactions(settings, declare_topics(settings), declare_groups(settings).worker, 0, "raw-1")
    transactions.open(lambda: False)
    return transactions


def _commit(transactions: Transactions, number: int) -> None:
    transactions.begin(Outcome(enriched=[(b"k%d" % number, b"{}")]), number)
    transactions.commit()


@pytest.mark.parametrize("how", list(How))
def test_no_transaction_follows_a_lost_connection(proxy: tuple[Proxy, Settings], how: How) -> None:
    """What librdkafka sent again may arrive twice, late, in a later transaction: only a new epoch is safe from that."""
    harness, settings = proxy
    transactions = _opened(settings)
    _commit(transactions, 1)
    harness.disturb(Disturbance(END_TXN, how, seconds=0.5))
    if how is How.ANSWER_HELD:
        _commit(transactions, 2)
    else:
        with pytest.raises(KafkaException, match="Disconnected"):
            _commit(transactions, 2)
    transactions.close()
    assert harness.done[f"EndTxn {how}"] == 1
    successor = _opened(settings)
    _commit(successor, 3)
    successor.close()
    keys = [message.key() for message in read_topic(settings, declare_topics(settings).enriched.name)]
    assert keys == [b"k1", b"k2", b"k3"]

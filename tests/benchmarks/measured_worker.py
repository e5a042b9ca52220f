"""The worker as a process that writes down its progress: `python -m tests.benchmarks.measured_worker WAY FILE`.

WAY is `transactions`, the product as it is, or `plain`: the same records through an idempotent producer, flushed, and
then the offset committed by a consumer. Whoever is killed between the two loses or doubles records; only what that
costs less is of interest here. FILE gets a line for every commit, a `Sample` of what the worker has done so far.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from scoreline_streams import cli, transactions
from scoreline_streams.batch import Outcome
from scoreline_streams.partition import Counts


class Sample(NamedTuple):
    """What a worker has committed, and the CPU time that its process has used, at one moment."""

    at: float
    """`time.perf_counter`: one clock for all processes of a machine."""
    cpu_s: float
    records: int
    duplicates: int
    rejected: int
    commits: int


class PlainProducer(Producer):
    """What `Transactions` calls, without a transaction."""

    def __init__(self, options: dict[str, Any]) -> None:
        own = {name: value for name, value in options.items() if not name.startswith("transaction")}
        super().__init__(own | {"enable.idempotence": True})
        # another group than the worker's, in which Faust's member would not let a stranger commit
        group = {"group.id": f"{options['transactional.id']}.plain", "enable.auto.commit": False}
        self._committer = Consumer({"bootstrap.servers": options["bootstrap.servers"]} | group)
        self._position: list[TopicPartition] = []

    def init_transactions(self, *_: Any) -> None: ...

    def begin_transaction(self) -> None: ...

    def send_offsets_to_transaction(self, positions: list[TopicPartition], *_: Any) -> None:
        self._position = positions

    def commit_transaction(self, timeout: float = 10.0) -> None:
        if self.flush(timeout):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self._committer.commit(offsets=self._position, asynchronous=False)


def sample_commits(file: Path) -> None:
    """Have the worker's own counter write a sample of every commit."""
    count, lines = Counts.add, file.open("w", buffering=1)

    def add(self: Counts, records: int, outcome: Outcome) -> None:
        count(self, records, outcome)
        now = time.perf_counter(), time.process_time()
        sample = Sample(*now, self.records, self.duplicates, self.rejected, self.transactions)
        lines.write(f"{' '.join(map(str, sample))}\n")

    Counts.add = add


def main() -> None:
    """Entry point."""
    way, file = sys.argv[1:]
    if way == "plain":
        transactions.Producer = PlainProducer
    sample_commits(Path(file))
    cli.worker()


if __name__ == "__main__":
    main()

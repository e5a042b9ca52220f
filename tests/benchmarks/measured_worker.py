"""The worker as a process that times itself: `python -m tests.benchmarks.measured_worker WAY EVENTS FILE`.

WAY is `transactions`, the product as it is, or `plain`: the same records through an idempotent producer, flushed, and
then the offset committed by a consumer. Whoever is killed between the two loses or doubles records; only what that
costs less is of interest here. FILE gets the time from the first to the last commit of EVENTS records.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from scoreline_streams import cli, transactions
from scoreline_streams.batch import Outcome
from scoreline_streams.partition import Counts


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


def measure(events: int, report: Path) -> None:
    """Have the worker's own counter write down how long it took from its first commit to the last."""
    first: list[tuple[int, float, float]] = []
    count = Counts.add

    def add(self: Counts, records: int, outcome: Outcome) -> None:
        count(self, records, outcome)
        now = self.records, time.perf_counter(), time.process_time()
        if not first:
            first.append(now)
        if self.records >= events:
            records, seconds, cpu_s = (end - start for end, start in zip(now, first[0], strict=True))
            figures = {"events": records, "seconds": seconds, "cpu_s": cpu_s, "commits": self.transactions}
            aside = report.with_suffix(".part")
            aside.write_text(json.dumps(figures))
            aside.rename(report)

    Counts.add = add


def main() -> None:
    """Entry point."""
    way, events, report = sys.argv[1:]
    if way == "plain":
        transactions.Producer = PlainProducer
    measure(int(events), Path(report))
    cli.worker()


if __name__ == "__main__":
    main()

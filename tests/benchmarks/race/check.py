"""Whether what an engine wrote is what it had to write: every output is decoded and compared with its event.

An output is right when it has the event's key and fields, names the first record with its id, and lies in that
record's partition. Within a partition engines keep the order of the input, so an engine that was stopped early has
written each event up to the last of each partition: one that it skipped is a gap.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from scoreline.topics import record_key
from tests.benchmarks.race.load import Log, expected, timestamp_ms

EXAMPLES_MAX = 5
DELAY_OFF_MAX_S = 0.001


class Output(NamedTuple):
    """One record that an engine wrote."""

    partition: int
    key: bytes | None
    value: bytes | None
    at_ms: int
    """When Kafka received it."""


@dataclass
class Findings:
    """What was wrong with an engine's outputs."""

    outputs: int = 0
    distinct: int = 0
    duplicates: int = 0
    strangers: int = 0
    """Outputs of no event."""
    changed: int = 0
    """Outputs that are not what their event becomes, and those that lie in another partition."""
    missing: int = 0
    """Events that were not written."""
    gaps: int = 0
    """Those of them that stand before one that was."""
    examples: list[str] = field(default_factory=list[str])
    """The first few that are wrong, for people."""

    def is_wrong(self, complete: bool) -> bool:
        """Whether an engine may not write this; one that was stopped early may leave events missing, but no gaps."""
        return bool(self.duplicates or self.strangers or self.changed or (self.missing if complete else self.gaps))

    def note(self, what: str) -> None:
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(what)


def inspect(log: Log, outputs: Iterable[Output]) -> tuple[Findings, NDArray[np.int64]]:
    """Compare outputs with the input; also when each was appended, sorted, in Unix milliseconds."""
    found, times = Findings(), array("q")
    size = max(int(events.max(initial=-1)) for events in log.events) + 1
    home, first = _places(log, size)
    seen = np.zeros(size, np.bool_)
    known, homes, firsts = memoryview(seen), memoryview(home), memoryview(first)
    for output in outputs:
        found.outputs += 1
        times.append(output.at_ms)
        try:
            got: Any = orjson.loads(output.value or b"")
            event = log.ids.read(got["score_id"])
        except (ValueError, LookupError, TypeError):
            got, event = None, -1
        if not 0 <= event < size or homes[event] < 0:
            found.strangers += 1
            found.note(f"no event's: {(output.value or b'')[:200]!r}")
            continue
        if known[event]:
            found.duplicates += 1
            found.note(f"twice: event {event}")
        known[event] = True
        wrong = difference(log, event, homes[event], firsts[event], output, got)
        if wrong:
            found.changed += 1
            found.note(f"event {event}: {wrong}")
    found.distinct = int(seen.sum())
    found.missing = log.distinct - found.distinct
    found.gaps = sum(_gaps(events, seen) for events in log.events)
    return found, np.sort(np.frombuffer(times, np.int64))


def difference(log: Log, event: int, partition: int, offset: int, output: Output, got: dict[str, Any]) -> str:
    """What of an output is not as the event, whose first record lies at `partition` and `offset`, makes it; or ''."""
    wanted = expected(event, log.ids) | {"raw_partition": partition, "raw_offset": offset}
    if not wanted.items() <= got.items():
        return ", ".join(
            f"{name} {got.get(name)!r} instead of {value!r}"
            for name, value in wanted.items()
            if name not in got or got[name] != value
        )
    if output.partition != partition:
        return f"in partition {output.partition} instead of {partition}"
    if output.key != record_key("default", wanted["score_id"]):
        return f"key {output.key!r}"
    received_ms = int(log.times_ms[partition][offset])
    if _milliseconds(got.get("received_at")) != received_ms:
        return f"received_at {got.get('received_at')!r} instead of {received_ms} ms"
    delay_s = got.get("delay_s")
    if delay_s is None or abs(delay_s - (received_ms - timestamp_ms(event)) / 1000) > DELAY_OFF_MAX_S:
        return f"delay_s {delay_s!r}"
    return ""


def _places(log: Log, size: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Partition and offset of each event's first record; -1 for a number that the input does not hold."""
    home, first = np.full(size, -1, np.int8), np.full(size, -1, np.int64)
    for partition, events in enumerate(log.events):
        distinct, offsets = np.unique(events, return_index=True)
        home[distinct], first[distinct] = partition, offsets
    return home, first


def _gaps(events: NDArray[np.int64], seen: NDArray[np.bool_]) -> int:
    distinct, offsets = np.unique(events, return_index=True)
    written = seen[distinct[np.argsort(offsets)]]
    until = np.flatnonzero(written)
    return int(until[-1] + 1 - len(until)) if len(until) else 0


@lru_cache(1024)
def _milliseconds(text: str | None) -> int | None:
    try:
        return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return None

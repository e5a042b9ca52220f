"""The race's judge: it finds what is wrong with an engine's outputs, and the peers' rules are the product's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scoreline.enriched import decode_enriched
from scoreline.judging import judge
from scoreline.reading import Event
from scoreline.rejections import Rejection
from scoreline.validation import validate
from scoreline_local.jars import KAFKA, locked_jars
from scoreline_streams.enrich import enrich
from tests.benchmarks.race.check import Findings, Output, inspect
from tests.benchmarks.race.engines import KAFKA_STREAMS
from tests.benchmarks.race.load import IDS, REPEAT_EVERY, Ids, Log, encode, event_of, expected
from tests.benchmarks.race.peers import work
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads, valid_payloads

RECORDS = 400
PARTITIONS = 4
PASSED_BY_PEERS = {
    "invalid_value/comment-nul",
    "invalid_value/integer-30-digits",
    "invalid_value/integer-beyond-double",
    "invalid_value/integer-string-beyond-double",
    "invalid_value/metadata-integer-beyond-64-bits",
    "invalid_value/metadata-nan",
    "invalid_value/metadata-nul-key",
    "invalid_value/metadata-overflow",
    "invalid_value/metadata-too-deep",
    "malformed_json/repeated-key",
    "malformed_json/repeated-key-escaped",
    "malformed_json/repeated-key-hidden-by-space",
    "malformed_json/repeated-key-nested",
    "malformed_json/repeated-key-with-colon-in-text",
}
"""What the peers' docstring says that they leave out."""


def log() -> Log:
    """An input as Kafka would hold it, without Kafka."""
    events: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for record in range(RECORDS):
        event = event_of(record)
        events[event % PARTITIONS].append(event)
    arrays = [np.array(part, np.int64) for part in events]
    return Log(arrays, [RECEIVED_MS + np.arange(len(part)) for part in arrays])


def right_outputs(of: Log) -> list[Output]:
    """What an engine without a fault writes, made by the peers' own work."""
    outputs: list[Output] = []
    for partition, events in enumerate(of.events):
        seen: set[int] = set()
        for offset, event in enumerate(events.tolist()):
            if event in seen:
                continue
            seen.add(event)
            key, value = encode(event)
            received_ms = int(of.times_ms[partition][offset])
            fields = work.enrich(work.parse(value, key, received_ms), received_ms, partition, offset)
            outputs.append(Output(partition, key, work.dump(fields), received_ms + 5))
    return outputs


def inspected(change: Callable[[list[Output]], Any] = lambda _: None) -> Findings:
    """The findings on right outputs in which something was changed."""
    outputs = right_outputs(log())
    change(outputs)
    return inspect(log(), outputs)[0]


def altered(output: Output, **fields: Any) -> Output:
    """The same output with other fields."""
    return output._replace(value=json.dumps(json.loads(output.value or b"") | fields).encode())


def test_right_outputs_are_right() -> None:
    """Also when an engine was stopped before the end: what it had not reached is no gap."""
    whole, cut = inspected(), inspected(lambda outputs: outputs.pop())
    assert not whole.is_wrong(complete=True), whole
    assert whole.outputs == whole.distinct == RECORDS - RECORDS // REPEAT_EVERY
    assert (cut.missing, cut.gaps) == (1, 0)
    assert cut.is_wrong(complete=True)
    assert not cut.is_wrong(complete=False)


def test_event_written_twice_is_found() -> None:
    """However far apart."""
    found = inspected(lambda outputs: outputs.append(outputs[3]))
    assert found.duplicates == 1
    assert found.is_wrong(complete=True)
    assert found.is_wrong(complete=False)


def test_event_left_out_is_found() -> None:
    """In an engine that was stopped early too: it wrote later ones."""
    found = inspected(lambda outputs: outputs.pop(7))
    assert (found.missing, found.gaps) == (1, 1)
    assert found.is_wrong(complete=True)
    assert found.is_wrong(complete=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"value": 0.123456},
        {"label": "other"},
        {"trace_id": "0" * 32},
        {"timestamp": "2026-01-31T00:00:00Z"},
        {"received_at": "2026-02-01T12:00:01Z"},
        {"received_at": None},
        {"delay_s": 0.0},
        {"raw_offset": 399},
        {"metadata": {}},
    ],
    ids=json.dumps,
)
def test_changed_field_is_found(fields: dict[str, Any]) -> None:
    """Every field is compared with what the event's number says, or with what Kafka gave the record."""

    def change(outputs: list[Output]) -> None:
        outputs[5] = altered(outputs[5], **fields)

    found = inspected(change)
    assert found.changed == 1
    assert next(iter(fields)) in found.examples[0]
    assert found.is_wrong(complete=True)


@pytest.mark.parametrize(
    "changes", [{"partition": 3}, {"key": b"default/other"}, {"key": None}], ids=("partition", "key", "no key")
)
def test_misplaced_output_is_found(changes: dict[str, Any]) -> None:
    """A record stays in its partition, under its key."""

    def change(outputs: list[Output]) -> None:
        outputs[5] = outputs[5]._replace(**changes)

    assert inspected(change).changed == 1


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"score_id": 5}', b'{"score_id": "s-1"}'])
def test_output_of_no_event_is_found(value: bytes | None) -> None:
    """Garbage is counted, and stops nothing."""
    found = inspected(lambda outputs: outputs.append(Output(0, b"k", value, 0)))
    assert found.strangers == 1
    assert found.is_wrong(complete=False)


def test_jars_of_kafka_streams_stand_beside_the_brokers() -> None:
    """One jar in two versions on one class path is found by chance."""
    broker, peer = ({(jar.group, jar.artifact) for jar in locked_jars(which)} for which in (KAFKA, KAFKA_STREAMS))
    assert ("org.apache.kafka", "kafka-streams") in peer
    assert not broker & peer


@pytest.mark.parametrize("ids", IDS.values(), ids=lambda ids: ids.name)
def test_id_tells_its_event(ids: Ids) -> None:
    """The judge reads the number out of the id."""
    assert all(ids.read(ids.write(event)) == event for event in (*range(RECORDS), 10**9))


def test_repetition_is_of_an_earlier_event() -> None:
    """Every twentieth record has been there before; the others are new."""
    assert all((event_of(record) < record) is (record % REPEAT_EVERY == REPEAT_EVERY - 1) for record in range(RECORDS))


def test_what_is_expected_is_what_the_product_makes() -> None:
    """So no peer is held to less than our worker."""
    for event in range(100):
        key, value = encode(event)
        written = json.loads(enriched_by_product(value, key))
        assert expected(event).items() <= written.items()


@pytest.mark.parametrize(
    "payload", [each for each in valid_payloads() if b"config_id" not in each.value], ids=lambda payload: payload.name
)
def test_peers_take_what_the_product_takes(payload: Payload) -> None:
    """And make the same of it."""
    fields = work.enrich(work.parse(payload.value, payload.key, RECEIVED_MS), RECEIVED_MS, 1, 2)
    assert decode_enriched(work.dump(fields)) == decode_enriched(enriched_by_product(payload.value, payload.key))


@pytest.mark.parametrize("payload", invalid_payloads(), ids=lambda payload: payload.name)
def test_peers_refuse_what_the_product_refuses(payload: Payload) -> None:
    """But for what their docstring names."""
    try:
        work.enrich(work.parse(payload.value, payload.key, RECEIVED_MS), RECEIVED_MS, 1, 2)
        refused = False
    except work.Invalid:
        refused = True
    assert refused is (payload.name not in PASSED_BY_PEERS)


def enriched_by_product(value: bytes, key: bytes) -> bytes:
    """Our worker's output for one record."""
    event = validate(value, key, RECEIVED_MS)
    assert isinstance(event, Event), event
    judged = judge(event, None)
    assert not isinstance(judged, Rejection)
    return enrich(event, judged, {}, RECEIVED_MS, 1, 2)

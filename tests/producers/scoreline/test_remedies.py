"""Every rejection tells a person the field and the way out."""

from __future__ import annotations

import pytest

from scoreline.configs import ScoreConfig
from scoreline.events import DataType, ScoreEvent
from scoreline.judging import judge
from scoreline.reading import Event, event_of
from scoreline.rejections import Reason, Rejection, Stage
from scoreline.remedies import NO_REMEDY, REMEDIES, field_of, remedy_of
from scoreline.validation import check, validate
from scoreline_streams.batch import Known, id_hashes, settle
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads

FIELDS = frozenset(ScoreEvent.model_fields)
WHOLE_RECORD = frozenset({Reason.EMPTY_RECORD, Reason.TOO_LARGE, Reason.MALFORMED_JSON})
"""Reasons that no single field has: the detail says what is wrong with the record."""


def test_every_reason_has_a_remedy() -> None:
    """A new reason without one would leave its senders alone."""
    assert set(Reason) == set(REMEDIES)
    assert all(remedy.endswith(".") for remedy in REMEDIES.values())
    assert remedy_of("of_another_release") == NO_REMEDY


@pytest.mark.parametrize("payload", invalid_payloads(), ids=lambda payload: payload.name)
def test_invalid_payload_names_its_field(payload: Payload) -> None:
    """A field of the contract or a stranger that the record holds; else the detail is about the whole record."""
    verdict = check(payload.value, payload.key, RECEIVED_MS)
    assert isinstance(verdict, Rejection)
    field = field_of(verdict.reason, verdict.detail)
    if verdict.reason in WHOLE_RECORD:
        assert (field, verdict.detail != "") == (None, True)
        return
    assert field is not None, verdict
    if verdict.reason is Reason.UNKNOWN_FIELD:
        assert field.rpartition(".")[2].encode() in payload.value
    else:
        assert field == "trace_id, session_id or dataset_run_id" or field.partition(".")[0] in FIELDS, verdict


def event(**fields: object) -> Event:
    defaults = {"score_id": "s", "name": "n", "value": 7.0, "trace_id": "t", "config_id": "c"}
    return event_of(ScoreEvent.model_validate(defaults | fields))


CONFIG = ScoreConfig(id="c", name="n", data_type=DataType.NUMERIC, min=0.0, max=1.0)
CATEGORIES = ScoreConfig(id="c", name="n", data_type=DataType.CATEGORICAL, categories={"good": 1.0})


@pytest.mark.parametrize(
    ("judged", "config", "reason", "field"),
    [
        (event(), None, Reason.UNKNOWN_CONFIG, "config_id"),
        (event(), CONFIG.model_copy(update={"archived": True}), Reason.CONFIG_MISMATCH, "config_id"),
        (event(name="other"), CONFIG, Reason.CONFIG_MISMATCH, "name"),
        (event(data_type=DataType.BOOLEAN), CONFIG, Reason.CONFIG_MISMATCH, "data_type"),
        (event(), CONFIG, Reason.OUT_OF_RANGE, "value"),
        (event(value="bad"), CATEGORIES, Reason.UNKNOWN_CATEGORY, "value"),
        (event(value="word"), CONFIG, Reason.INVALID_VALUE, "value"),
    ],
)
def test_what_a_config_refuses_names_its_field(
    judged: Event, config: ScoreConfig | None, reason: Reason, field: str
) -> None:
    """Also where only the worker can know."""
    verdict = judge(judged, config)
    assert isinstance(verdict, Rejection)
    assert (verdict.reason, field_of(verdict.reason, verdict.detail)) == (reason, field)


def test_rejections_of_records_name_what_is_wrong() -> None:
    """A wrong key, and a record that is empty."""
    mismatch = validate(b'{"score_id":"s","name":"n","value":1,"trace_id":"t"}', b"default/x", RECEIVED_MS)
    empty = validate(None, b"default/x", RECEIVED_MS)
    assert isinstance(mismatch, Rejection)
    assert isinstance(empty, Rejection)
    assert field_of(mismatch.reason, mismatch.detail) == "key"
    assert (field_of(empty.reason, empty.detail), empty.detail) == (None, "the record has no value")


class Record:
    """A raw record as `settle` reads it."""

    def __init__(self, offset: int) -> None:
        self.key, self.value, self.offset, self.timestamp, self.headers = b"default/s", b"", offset, RECEIVED_MS, ()


def test_conflicting_duplicate_names_the_id() -> None:
    """As the worker words it."""
    events = [event(value=value, config_id=None) for value in (0.5, 0.6)]
    records = [Record(1), Record(2)]
    outcome = settle("scores.raw", 0, records, events, id_hashes(records), [None, None], Known({}, {}))
    [letter] = outcome.rejected
    assert letter.rejection.stage is Stage.DEDUPLICATE
    assert field_of(letter.rejection.reason, letter.rejection.detail) == "score_id"

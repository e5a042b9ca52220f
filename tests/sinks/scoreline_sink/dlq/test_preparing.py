"""What is sent again for a letter, and what is not."""

from __future__ import annotations

import json

import pytest

from scoreline.configs import ScoreConfig
from scoreline.events import DataType
from scoreline.reading import Event
from scoreline.rejections import Reason, Stage
from scoreline.validation import validate
from scoreline_sink.dlq.letters import HISTORY_HEADER, TRUNCATED_HEADER, Letter
from scoreline_sink.dlq.patch import Patch, patch_of
from scoreline_sink.dlq.preparing import Refused, Replay, Terms, prepare
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads
from tests.sinks.scoreline_sink.dlq.made import NOW_MS, letter, score, with_headers

CONFIG = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=1.0)


def terms(patch: Patch | None = None, replays_max: int = 3) -> Terms:
    return Terms(patch or Patch(), {CONFIG.key: CONFIG}, "scores.rejected", replays_max)


def replayed(one: Letter, patch: Patch | None = None) -> Replay:
    prepared = prepare(one, terms(patch), NOW_MS)
    assert isinstance(prepared, Replay), prepared
    assert isinstance(validate(prepared.value, prepared.key, NOW_MS), Event)
    return prepared


def refused(one: Letter, patch: Patch | None = None) -> tuple[str, str]:
    prepared = prepare(one, terms(patch), NOW_MS)
    assert isinstance(prepared, Refused), prepared
    return prepared.cause, prepared.detail


def test_mended_world_replays_the_original_bytes() -> None:
    """A config that exists now: key, value and headers as they came, and behind them where they were."""
    value = b' {"config_id":"c" , "score_id":"s-1","name":"accuracy","value":5e-1,"trace_id":"t"'
    value += b',"timestamp":"2026-09-21T13:00:00Z"}'
    own = (("traceparent", b"x"), ("odd", None), ("odd", b"\xff"))
    prepared = replayed(with_headers(letter(value), *own))
    assert (prepared.key, prepared.value) == (b"default/s-1", value)
    assert prepared.headers == [*own, (HISTORY_HEADER, b"scores.rejected/2/77")]


@pytest.mark.parametrize("payload", invalid_payloads(), ids=lambda payload: payload.name)
def test_what_would_be_rejected_again_is_not_sent(payload: Payload) -> None:
    """It gets the reason that the worker would give, and stays."""
    prepared = prepare(letter(payload.value, key=payload.key, arrived_ms=RECEIVED_MS), terms(), RECEIVED_MS)
    assert isinstance(prepared, Refused)
    assert prepared.cause == payload.reason


def test_tombstone_is_not_sent() -> None:
    """Nothing mends it."""
    assert refused(letter(None))[0] == Reason.EMPTY_RECORD


def test_configs_decide_as_in_the_worker() -> None:
    """Unknown still, or known and out of range."""
    assert refused(letter(score(config_id="other")))[0] == Reason.UNKNOWN_CONFIG
    assert refused(letter(score(config_id="c", value=2)))[0] == Reason.OUT_OF_RANGE
    assert refused(letter(score(config_id="c")), patch_of(["value=7"], [], []))[0] == Reason.OUT_OF_RANGE


@pytest.mark.parametrize("key", [None, b"", b"s-1", b"other/s-1", b"\xff"])
def test_wrong_key_is_made_right(key: bytes | None) -> None:
    """Whatever it was; the value says which score it is."""
    assert replayed(letter(score(), key=key, reason=Reason.KEY_MISMATCH)).key == b"default/s-1"


def test_patched_identity_changes_the_key() -> None:
    """Deduplication goes by it."""
    prepared = replayed(letter(score()), patch_of(["project=team", "score_id=s-2"], [], []))
    assert prepared.key == b"team/s-2"


def test_score_without_a_timestamp_keeps_its_day() -> None:
    """It is dated by its first arrival, not by the replay three days later; all else is as it was."""
    value = score(timestamp=None)
    prepared = replayed(letter(value))
    assert json.loads(prepared.value) == json.loads(value) | {"timestamp": "2026-09-21T14:13:20.000Z"}
    nothing = b'{"timestamp":null,' + value[1:]
    assert json.loads(replayed(letter(nothing)).value)["timestamp"] == "2026-09-21T14:13:20.000Z"
    dropped = replayed(letter(score(timestamp="1999-01-01T00:00:00Z")), patch_of([], [], ["timestamp"]))
    assert json.loads(dropped.value)["timestamp"] == "2026-09-21T14:13:20.000Z"


def test_record_that_was_replayed_too_often_stays() -> None:
    """The history in its headers is the count: nothing goes round for ever."""
    one = with_headers(letter(score()), *[(HISTORY_HEADER, b"scores.rejected/2/%d" % n) for n in range(3)])
    assert refused(one) == (
        "replayed_too_often",
        "rejected again after 3 replays; mend it at the sender, or raise --replays-max",
    )
    again = prepare(one, terms(replays_max=4), NOW_MS)
    assert isinstance(again, Replay)
    assert [content for name, content in again.headers if name == HISTORY_HEADER] == [
        b"scores.rejected/2/0",
        b"scores.rejected/2/1",
        b"scores.rejected/2/2",
        b"scores.rejected/2/77",
    ]


def test_cut_record_stays() -> None:
    """Its bytes are not what the sender sent."""
    assert refused(with_headers(letter(score()), (TRUNCATED_HEADER, b"1,2,3")))[0] == "truncated"


@pytest.mark.parametrize("stage", [Stage.DEDUPLICATE])
def test_id_that_the_worker_remembers_stays_unless_it_is_another(stage: Stage) -> None:
    """A conflicting duplicate would conflict again; under an id of its own it is another score."""
    one = letter(score(), reason=Reason.CONFLICTING_DUPLICATE, stage=stage)
    cause, detail = refused(one)
    assert (cause, "--set score_id=ID" in detail) == ("id_is_taken", True)
    assert refused(one, patch_of(["comment=x"], [], []))[0] == "id_is_taken"
    assert replayed(one, patch_of(["score_id=own"], [], [])).key == b"default/own"


def test_record_that_cannot_be_patched_stays() -> None:
    """One broken letter among thousands must not end the replay."""
    assert refused(letter(b"{"), patch_of(["name=n"], [], []))[0] == "cannot_be_patched"

"""A valid event against its score config."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scoreline.configs import ScoreConfig, decode_config, encode_config
from scoreline.errors import MalformedRecord
from scoreline.events import DataType, ScoreEvent, Status
from scoreline.judging import Judged, judge
from scoreline.reading import Event, event_of
from scoreline.rejections import Reason, Rejection

RANGE = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=5.0, version=3)
LOWER = RANGE.model_copy(update={"lower_is_better": True})
STARS = ScoreConfig(
    id="c", name="accuracy", data_type=DataType.CATEGORICAL, categories={"bad": 1.0, "good": 3.0, "?": None}
)
PASS = ScoreConfig(id="c", name="accuracy", data_type=DataType.BOOLEAN, lower_is_better=True)


def event(value: float | bool | str | None, **fields: Any) -> Event:
    return event_of(ScoreEvent(score_id="s", name="accuracy", value=value, trace_id="t", **fields))


@pytest.mark.parametrize(
    ("value", "data_type", "expected"),
    [
        (0.5, None, (DataType.NUMERIC, 0.5, None)),
        ("0.5", DataType.NUMERIC, (DataType.NUMERIC, 0.5, None)),
        ("0.5", None, (DataType.CATEGORICAL, None, "0.5")),
        (True, None, (DataType.BOOLEAN, 1.0, "true")),
        (0.0, DataType.BOOLEAN, (DataType.BOOLEAN, 0.0, "false")),
        ("false", DataType.BOOLEAN, (DataType.BOOLEAN, 0.0, "false")),
        ("positive", None, (DataType.CATEGORICAL, None, "positive")),
    ],
)
def test_value_without_config_becomes_canonical(
    value: float | bool | str, data_type: DataType | None, expected: tuple[DataType, float | None, str | None]
) -> None:
    """Number, label or both by data type, inferred where absent; a category without a number is never 0."""
    assert judge(event(value, data_type=data_type), None) == Judged(*expected, None, None)


def test_failed_score_has_no_value_and_keeps_its_config() -> None:
    """What a crashed judge leaves is checked against name and type of its config; without one it may lack a type."""
    failed = event(None, status=Status.FAILED, error="timed out")
    assert judge(failed, None) == Judged(None, None, None, None, None)
    with_config = msgspec.structs.replace(failed, config_id="c")
    assert judge(with_config, RANGE) == Judged(DataType.NUMERIC, None, None, None, 3)
    misfit = judge(msgspec.structs.replace(with_config, name="other"), RANGE)
    assert isinstance(misfit, Rejection)
    assert misfit.reason is Reason.CONFIG_MISMATCH


@pytest.mark.parametrize(
    ("value", "config", "expected"),
    [
        (1.0, RANGE, Judged(DataType.NUMERIC, 1.0, None, 0.2, 3)),
        (5.0, RANGE, Judged(DataType.NUMERIC, 5.0, None, 1.0, 3)),
        (1.0, LOWER, Judged(DataType.NUMERIC, 1.0, None, 0.8, 3)),
        ("good", STARS, Judged(DataType.CATEGORICAL, 3.0, "good", 1.0, 1)),
        ("?", STARS, Judged(DataType.CATEGORICAL, None, "?", None, 1)),
        ("true", PASS, Judged(DataType.BOOLEAN, 1.0, "true", 0.0, 1)),
        ("2.5", RANGE, Judged(DataType.NUMERIC, 2.5, None, 0.5, 3)),
    ],
)
def test_config_decides_type_number_and_normalized(value: float | str, config: ScoreConfig, expected: Judged) -> None:
    """The config's data type reads the value, its range or categories normalise it, 1 being the better end."""
    assert judge(event(value, config_id="c"), config) == expected


@pytest.mark.parametrize(
    ("scored", "config", "reason"),
    [
        (event(1.0, config_id="c"), None, Reason.UNKNOWN_CONFIG),
        (event(5.1, config_id="c"), RANGE, Reason.OUT_OF_RANGE),
        (event(-1.0, config_id="c"), RANGE, Reason.OUT_OF_RANGE),
        (event("great", config_id="c"), STARS, Reason.UNKNOWN_CATEGORY),
        (event(1.0, config_id="c", data_type=DataType.BOOLEAN), RANGE, Reason.CONFIG_MISMATCH),
        (event(1.0, config_id="c"), RANGE.model_copy(update={"name": "relevance"}), Reason.CONFIG_MISMATCH),
        (event(1.0, config_id="c"), RANGE.model_copy(update={"archived": True}), Reason.CONFIG_MISMATCH),
        (event(1.0, config_id="c"), STARS, Reason.INVALID_VALUE),
    ],
)
def test_misfit_is_rejected_with_what_was_expected_and_found(
    scored: Event, config: ScoreConfig | None, reason: Reason
) -> None:
    """Every way a score can miss its config has its own reason."""
    verdict = judge(scored, config)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is reason


def test_range_without_width_has_no_normalized() -> None:
    """A config whose bounds are equal cannot normalise, and must not divide by zero."""
    verdict = judge(event(1.0, config_id="c"), RANGE.model_copy(update={"min": 1.0, "max": 1.0}))
    assert isinstance(verdict, Judged)
    assert verdict.normalized is None


@pytest.mark.parametrize("config", [RANGE, LOWER, STARS, PASS])
def test_config_comes_back_from_its_bytes(config: ScoreConfig) -> None:
    """encode and decode are inverse."""
    assert decode_config(encode_config(config)) == config


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"{}", "id"),
        (b"[", "config"),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","min":2,"max":1}', "min 2.0 is above max 1.0"),
        (b'{"id":"c","name":"n","data_type":"BOOLEAN","min":2}', "NUMERIC"),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","categories":{"a":1}}', "CATEGORICAL"),
    ],
)
def test_malformed_config_names_its_fault(value: bytes, field: str) -> None:
    """A config that contradicts itself is refused with the field."""
    with pytest.raises(MalformedRecord, match=field):
        decode_config(value)

"""A valid event against its score config: the canonical value, or why it does not fit."""

from __future__ import annotations

import msgspec

from scoreline.configs import ScoreConfig
from scoreline.events import DataType
from scoreline.reading import Event
from scoreline.rejections import Reason, Rejection, found
from scoreline.values import canonical_value, infer_data_type


class Judged(msgspec.Struct, frozen=True, gc=False):
    """What the config and the data type make of an event's value."""

    data_type: DataType | None
    """None where a failed score does not say, and no config does."""
    value: float | None
    label: str | None
    normalized: float | None
    """0..1 by the config's range, 1 the better end; None without one."""
    config_version: int | None


def judge(event: Event, config: ScoreConfig | None) -> Judged | Rejection:
    """The canonical value of `event`; `config` is the one that its `config_id` names, None where none is known."""
    if event.config_id is None:
        if event.value is None:
            return Judged(event.data_type, None, None, None, None)
        data_type = event.data_type or infer_data_type(event.value)
        value = canonical_value(event.value, data_type)
        return value if isinstance(value, Rejection) else Judged(data_type, value.number, value.label, None, None)
    if config is None:
        return Rejection(
            Reason.UNKNOWN_CONFIG,
            f"config_id: {found(event.config_id)} is not in project {event.project}; create it, then replay",
        )
    return _against(event, config)


def _against(event: Event, config: ScoreConfig) -> Judged | Rejection:
    mismatch = None
    if config.archived:
        mismatch = "is archived and takes no more scores"
    elif event.name != config.name:
        mismatch = f"expects name {found(config.name)}, found {found(event.name)}"
    elif event.data_type is not None and event.data_type is not config.data_type:
        mismatch = f"expects data_type {config.data_type}, found {event.data_type}"
    if mismatch is not None:
        return Rejection(Reason.CONFIG_MISMATCH, f"config {found(config.id)} {mismatch}")
    if event.value is None:
        return Judged(config.data_type, None, None, None, config.version)
    value = canonical_value(event.value, config.data_type)
    if isinstance(value, Rejection):
        return value
    number, label = value.number, value.label
    if config.data_type is DataType.CATEGORICAL and config.categories is not None:
        if label not in config.categories:
            return Rejection(
                Reason.UNKNOWN_CATEGORY,
                f"value: {found(label)} is none of the categories {found(sorted(config.categories))}",
            )
        number = config.categories[label]
    if config.data_type is DataType.NUMERIC and number is not None and not _in_range(number, config):
        return Rejection(
            Reason.OUT_OF_RANGE, f"value: {number} is outside {config.min}..{config.max} of config {found(config.id)}"
        )
    return Judged(config.data_type, number, label, normalize(number, config), config.version)


def _in_range(number: float, config: ScoreConfig) -> bool:
    return (config.min is None or number >= config.min) and (config.max is None or number <= config.max)


def normalize(number: float | None, config: ScoreConfig) -> float | None:
    """(number - low) / (high - low), turned round where lower is better; None without a number or a range."""
    bounds = _bounds(config)
    if number is None or bounds is None:
        return None
    low, high = bounds
    share = (number - low) / (high - low)
    return 1.0 - share if config.lower_is_better else share


def _bounds(config: ScoreConfig) -> tuple[float, float] | None:
    if config.data_type is DataType.BOOLEAN:
        return 0.0, 1.0
    if config.categories is not None:
        numbers = [number for number in config.categories.values() if number is not None]
        low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    elif config.min is not None and config.max is not None:
        low, high = config.min, config.max
    else:
        return None
    return (low, high) if low < high else None

"""The scores of a row: as a preset reads them, then as `--map` would have them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from scoreline.commands.mapping import Fields, Plan, fields_of
from scoreline.commands.presets import Preset
from scoreline.commands.readers import Row
from scoreline.errors import InvalidScore
from scoreline.rejections import Rejection


def scores_of(row: Row, plan: Plan, preset: Preset | None) -> Iterator[Fields | Rejection]:
    """The fields of each score of a row, or why one of them is none. Without a preset a row is one score."""
    if isinstance(row.content, Rejection):
        yield row.content
    elif preset is None:
        yield _mapped(row.content, plan, None)
    else:
        try:
            for fields in preset.scores(row.content):
                yield _mapped(fields, plan, row.content)
        except InvalidScore as error:
            yield error.rejection


def _mapped(fields: Fields, plan: Plan, record: Fields | None) -> Fields | Rejection:
    try:
        return fields_of(fields, plan, record)
    except InvalidScore as error:
        return error.rejection

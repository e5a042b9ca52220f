"""Score configs as the SDKs read and write them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from scoreline.changes import Record
from scoreline.configs import Catalog, ScoreConfig, encode_config
from scoreline.events import DataType
from scoreline_gateway.compat.score_configs import (
    CreateScoreConfig,
    UpdateScoreConfig,
    created,
    page_of,
    same_rules,
    shown,
    updated,
)


def config(config_id: str = "c", **fields: Any) -> ScoreConfig:
    """A categorical config of project `p`."""
    whole = {"project": "p", "name": "tone", "data_type": DataType.CATEGORICAL, "categories": {"bad": 0.0, "good": 1.0}}
    return ScoreConfig(id=config_id, **(whole | fields))


def catalog(*configs: ScoreConfig) -> Catalog:
    """Put one after the other, a second apart."""
    records: dict[bytes, Record] = {}
    for offset, put in enumerate(configs):
        record = Record(encode_config(put), offset, 1_790_000_000_000 + 1000 * offset)
        records[put.version_key] = records[put.key] = record
    return Catalog.of(records)


CATEGORIES = [{"label": "bad", "value": 0}, {"label": "good", "value": 1}]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "tone", "dataType": "CATEGORICAL", "categories": CATEGORIES, "description": "d", "minValue": None},
        {"name": "tone", "data_type": "CATEGORICAL", "categories": CATEGORIES, "description": "d", "max_value": None},
    ],
)
def test_body_becomes_a_config_of_the_project(body: dict[str, Any]) -> None:
    """In camel case and in snake case."""
    assert created(CreateScoreConfig.model_validate(body), "c", "p") == config(description="d")


def test_config_that_breaks_a_rule_is_refused() -> None:
    """By the rules of our own configs."""
    body = CreateScoreConfig.model_validate({"name": "n", "dataType": "BOOLEAN", "minValue": 0})
    with pytest.raises(ValidationError, match="min and max are for NUMERIC"):
        created(body, "c", "p")


def test_update_changes_what_it_names_and_keeps_the_rest() -> None:
    """It is based on the version it was made from, so that a change in between is found."""
    before = config(version=3, owner="team", lower_is_better=True)
    changed = updated(before, UpdateScoreConfig.model_validate({"isArchived": True, "name": "mood", "minValue": None}))
    assert changed == before.model_copy(update={"archived": True, "name": "mood"})
    assert "version" in changed.model_fields_set
    assert updated(changed, UpdateScoreConfig.model_validate({"is_archived": False})).archived is False


def test_same_rules_may_have_another_id_and_version() -> None:
    """And nothing else that differs."""
    assert same_rules(config("a"), config("b", version=7))
    assert not same_rules(config("a"), config("a", archived=True))
    assert not same_rules(config("a"), config("a", project="q"))


def test_config_is_shown_with_all_that_the_sdks_parse() -> None:
    """A label without a number shows its place; the times are those of the first and the newest version."""
    first = config(categories={"bad": None, "good": 5.0, "fine": None})
    newest = first.model_copy(update={"version": 2, "description": "d"})
    assert shown(catalog(first, newest), newest) == {
        "id": "c",
        "name": "tone",
        "projectId": "p",
        "dataType": "CATEGORICAL",
        "isArchived": False,
        "minValue": None,
        "maxValue": None,
        "categories": [{"label": "bad", "value": 0}, {"label": "good", "value": 5.0}, {"label": "fine", "value": 2}],
        "description": "d",
        "createdAt": "2026-09-21T14:13:20+00:00",
        "updatedAt": "2026-09-21T14:13:21+00:00",
    }


@pytest.mark.parametrize(("page", "ids"), [(1, ["a", "b"]), (2, ["c"]), (3, [])])
def test_pages_hold_the_configs_of_one_project(page: int, ids: list[str]) -> None:
    """By id, archived ones too."""
    held = catalog(config("c"), config("b", archived=True), config("a"), config("x", project="other"))
    found = page_of(held, "p", page, 2)
    assert [one["id"] for one in found.configs] == ids
    assert (found.total_items, found.total_pages) == (3, 2)

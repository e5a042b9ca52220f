"""Every statement that can be made: nothing that a caller says is ever in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
import sqlglot
from sqlglot import expressions as exp

from scoreline.errors import QueryError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Condition, Filter, Question
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.fields import DIMENSIONS, NUMBERS, OPERATORS, TEXTS, kind_of
from scoreline_analytics.statements import Statement

OURS = {"failed", "NUMERIC", "CATEGORICAL", "BOOLEAN", "UTC"}
"""Every text that a statement may hold."""
PARAMETRIC = re.compile(r"(quantilesExactInclusive)\((\{p\d+:Float64\}(, )?)+\)")
"""sqlglot reads no bound parameters of an aggregate, ClickHouse does."""
LIMIT = "LIMIT {limit:UInt32}"
"""Nor does it read a LIMIT after a LIMIT BY."""
OUR_NUMBERS = {"0", "1", "6"}


class Spy:
    """Statements that a `Reader` was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[Statement] = []
        rows, batches = Reader.rows, Reader.batches

        def spied_rows(reader: Reader, statement: Statement) -> list[tuple[Any, ...]]:
            self.statements.append(statement)
            return rows(reader, statement)

        def spied_batches(reader: Reader, statement: Statement) -> Iterator[Any]:
            self.statements.append(statement)
            return batches(reader, statement)

        monkeypatch.setattr(Reader, "rows", spied_rows)
        monkeypatch.setattr(Reader, "batches", spied_batches)


def every_condition(text: str) -> tuple[Condition, ...]:
    """Each operator of each field."""
    conditions: list[Condition] = []
    for field in (*DIMENSIONS, *TEXTS, *NUMBERS, "timestamp", f"metadata.{text}", f"lookups.{text}"):
        kind = kind_of(field)
        value = {"text": text, "number": 1e-300, "moment": datetime(2001, 2, 3, tzinfo=UTC)}[kind]
        conditions += [Condition(field, o, () if o.startswith("has") else (value,)) for o in OPERATORS[kind]]
    return tuple(conditions)


def ask_everything(analytics: Analytics, text: str) -> None:
    """Every method, with the text wherever a text can be."""
    since, until = datetime(2025, 1, 1, 0, 0, 7, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    narrow = Filter(names=(text,), project=text, since=since, until=until, where=every_condition(text))
    rolled = Filter(names=(text,), project=text, since=since, where=(Condition("label", "=", (text,)),))
    everything = Filter()
    questions = [
        Question(by=("name", f"metadata.{text}", f"lookups.{text}"), where=(Condition("comment", "~", (text,)),)),
        Question(names=(text,), by=("name", "label"), since=since),
        Question(by=()),
    ]
    calls = [
        *(lambda f=f: analytics.names(f) for f in (narrow, rolled, everything)),
        *(lambda f=f: analytics.dimensions(f) for f in (narrow, rolled)),
        *(lambda f=f: analytics.values(f"metadata.{text}", f) for f in (narrow, rolled)),
        *(lambda q=q: analytics.summary(q) for q in questions),
        *(lambda q=q: analytics.summary(q, ()) for q in questions),
        *(lambda q=q: analytics.series(q, "1d", quantiles=(0.25,)) for q in questions),
        *(lambda q=q: analytics.series(q, "1d") for q in questions),
        *(lambda q=q: analytics.histogram(q, 3, (0.125, 0.25)) for q in questions),
        *(lambda q=q: analytics.change(q) for q in questions[1:2]),
        *(lambda f=f: analytics.worst(f, 17) for f in (narrow, rolled)),
        *(lambda f=f: analytics.latest(f, 17) for f in (narrow, rolled)),
        lambda: list(analytics.scores(narrow)),
        lambda: analytics.score(text, text),
        lambda: analytics.trace(text, text),
        *(lambda p=p: analytics.compare(everything, rolled, p) for p in ("auto", "none", f"metadata.{text}")),
        *(lambda p=p: analytics.agreement(everything, everything, p) for p in ("auto", f"metadata.{text}")),
    ]
    for call in calls:
        try:
            call()
        except QueryError as error:
            if "refused" in str(error):
                raise


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE scores --", 'a\\"b`c', "{p0:String} %s $keys ?", "\n\t ünï 日本 🎯", "project"]
)
def test_no_value_is_ever_part_of_a_statement(
    settings: Settings, store: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Of no method, no field, no operator: the statements are the same whatever the text, and ClickHouse takes them."""
    asked: list[set[str]] = []
    for value in (text, "plain"):
        with monkeypatch.context() as patch, Analytics(settings, projects=("team", value)) as analytics:
            spy = Spy(patch)
            ask_everything(analytics, value)
        asked.append({statement.sql for statement in spy.statements})
    assert len(asked[0]) > 30
    assert asked[0] == asked[1]


def test_every_statement_parses_and_holds_only_our_literals(
    settings: Settings, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sqlglot reads them: one SELECT, of one table, with no text or number of a caller; the project is bound."""
    store({"value": 0.5, "metadata": {"item": "1"}}, {"value": 1.0, "data_type": "CATEGORICAL", "label": "x"})
    spy = Spy(monkeypatch)
    with Analytics(settings, projects=("team",)) as analytics:
        ask_everything(analytics, "x'y\\")
    for sql in {statement.sql for statement in spy.statements}:
        [tree] = sqlglot.parse(PARAMETRIC.sub(r"\1", sql).replace(LIMIT, ""), dialect="clickhouse")
        assert isinstance(tree, exp.Query), sql
        assert {table.name for table in tree.find_all(exp.Table)} == {"scores"}, sql
        literals = list(tree.find_all(exp.Literal))
        assert {literal.name for literal in literals if literal.is_string} <= OURS, sql
        assert {literal.name for literal in literals if not literal.is_string} <= OUR_NUMBERS, sql
        from_scores = sum(1 for table in tree.find_all(exp.Table))
        assert sql.count("project IN {p") >= from_scores, sql


def test_every_query_file_says_its_purpose() -> None:
    """In its first line."""
    queries = [file for file in (files("scoreline_analytics") / "queries").iterdir() if file.name.endswith(".sql")]
    assert queries
    for query in queries:
        assert query.read_text().startswith("-- Purpose: "), query.name

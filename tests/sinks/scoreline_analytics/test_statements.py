"""Questions as SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from scoreline_analytics.questions import Question
from scoreline_analytics.statements import summary_statement

NASTY = "'; DROP TABLE scores --"


@given(st.text())
def test_no_value_is_ever_part_of_the_sql(text: str) -> None:
    """Values and metadata keys are parameters; the SQL is the same whatever they are."""

    def asked(value: str) -> Question:
        return Question(
            by=("name", f"metadata.k{value}"),
            names=(value,),
            project=value,
            where=((f"metadata.k{value}", value), ("label", value), ("label", f"other{value}")),
            since=datetime(2026, 1, 1, tzinfo=UTC),
        )

    statement = summary_statement(asked(text))
    assert statement.sql == summary_statement(asked(NASTY)).sql
    assert statement.parameters["names"] == [text]
    assert statement.parameters["values_1"] == [text, f"other{text}"]


def test_every_query_file_says_its_purpose() -> None:
    """In its first line."""
    queries = [file for file in (files("scoreline_analytics") / "queries").iterdir() if file.name.endswith(".sql")]
    assert queries
    for query in queries:
        assert query.read_text().startswith("-- Purpose: "), query.name

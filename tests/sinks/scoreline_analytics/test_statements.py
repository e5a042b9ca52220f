"""Questions as SQL."""

from __future__ import annotations

from importlib.resources import files


def test_every_query_file_says_its_purpose() -> None:
    """In its first line."""
    queries = [file for file in (files("scoreline_analytics") / "queries").iterdir() if file.name.endswith(".sql")]
    assert queries
    for query in queries:
        assert query.read_text().startswith("-- Purpose: "), query.name

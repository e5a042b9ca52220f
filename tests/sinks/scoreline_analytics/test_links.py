"""Links into the tracing tool."""

from __future__ import annotations

from scoreline.settings import load_settings
from scoreline_analytics.links import trace_link


def test_link_holds_the_ids_quoted_and_needs_all_of_them() -> None:
    """An id is data: it cannot leave its place in the address."""
    settings = load_settings(trace_url="https://traces.example/{project}/trace/{trace_id}?o={{x}}")
    score = {"project": "team", "trace_id": "a/b?c#d ü&e"}
    assert trace_link(settings, score) == "https://traces.example/team/trace/a%2Fb%3Fc%23d%20%C3%BC%26e?o={x}"
    assert trace_link(settings, {"project": "team", "trace_id": ""}) is None
    assert trace_link(load_settings(), score) is None

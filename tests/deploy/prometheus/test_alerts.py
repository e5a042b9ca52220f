"""The alert rules and the dashboard of metrics as they are committed: of metrics that exist, right to Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from deploy.grafana.health import health_dashboards
from deploy.prometheus.alerts import RULES_FILE, TESTS_FILE, promtool_tests_text, rules_text
from deploy.prometheus.rules import alerts

from scoreline.observe.catalogue import Kind, Metric, catalogue
from tests.documents import ROOT

OF_THE_LIBRARY = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
"""What prometheus-client tells of every process on Linux."""
OF_PROMETHEUS = {"instance", "job", "le"}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def queries() -> list[tuple[str, str]]:
    """Every PromQL expression, and where it stands."""
    found = [(alert.name, alert.expr) for alert in alerts()]
    for dashboard in health_dashboards().values():
        for panel in dashboard["panels"]:
            found += [(panel["title"], target["expr"].replace("$__rate_interval", "5m")) for target in panel["targets"]]
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector in a parsed expression."""
    kind = type(node).__name__
    if kind == "VectorSelector":
        yield node
    elif kind == "MatrixSelector":
        yield node.vector_selector
    children = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param")]
    for child in (*children, *(getattr(node, "args", None) or ())):
        if child is not None and child is not node:
            yield from selectors(child)


def exported() -> dict[str, Metric | None]:
    """Name of a series → its metric, None where a library makes it."""
    names: dict[str, Metric | None] = dict.fromkeys(OF_THE_LIBRARY)
    for metric in catalogue():
        ends = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {metric.name + end: metric for end in ends}
    return names


@pytest.mark.parametrize(("where", "expr"), queries())
def test_every_query_is_promql_of_metrics_and_labels_that_exist(where: str, expr: str) -> None:
    """A metric that was renamed does not leave an alert that never fires."""
    known, found = exported(), list(selectors(promql_parser.parse(expr)))
    assert found, (where, expr)
    for selector in found:
        assert selector.name in known, (where, selector.name)
        metric = known[selector.name]
        labels = OF_PROMETHEUS | set(metric.labels if metric else ())
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, (where, expr)
    grouped = {
        label.strip()
        for listed in re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expr)
        for label in listed.split(",")
    }
    assert grouped <= OF_PROMETHEUS | {label for s in found if (m := known[s.name]) for label in m.labels}, (
        where,
        expr,
    )


def test_files_are_what_the_generator_writes() -> None:
    """After a change: python -m deploy.prometheus."""
    assert RULES_FILE.read_text() == rules_text()
    assert TESTS_FILE.read_text() == promtool_tests_text()


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    """Who is woken finds what to do under the alert's name: what it means, what to look at, what to do."""
    sections = re.findall(r"^### (Scoreline\w+)\n(.*?)(?=^##|\Z)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == [alert.name for alert in alerts()]
    for name, text in sections:
        for part in ("*Means*", "*Look*", "*Do*"):
            assert part in text, (name, part)


def test_every_summary_names_labels_that_its_alert_has() -> None:
    """An empty place in a message at night helps nobody."""
    for alert in alerts():
        places = set(re.findall(r"\$labels\.(\w+)", alert.summary))
        assert places <= {name for name, _ in alert.firing.labels}, alert.name


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)
@pytest.mark.parametrize("arguments", [("check", "rules", RULES_FILE.name), ("test", "rules", TESTS_FILE.name)])
def test_promtool_takes_the_rules(arguments: tuple[str, ...]) -> None:
    """Each alert fires on its series after its time; none does on a pipeline in health."""
    done = subprocess.run(
        ["promtool", *arguments], cwd=Path(RULES_FILE).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr

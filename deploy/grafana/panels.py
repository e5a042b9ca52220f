"""Panels and variables of a dashboard, as Grafana's JSON asking its ClickHouse data source or Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "table", "barchart"]

SOURCE: Json = {"type": "grafana-clickhouse-datasource", "uid": "${source}"}
PROMETHEUS: Json = {"type": "prometheus", "uid": "${source}"}
_LABELS = {SOURCE["type"]: "ClickHouse", PROMETHEUS["type"]: "Prometheus"}
COLUMNS = 24
"""Of Grafana's grid."""
_FORMATS = {"timeseries": 0, "stat": 1, "table": 1, "barchart": 1}
"""The data source's formats: a time series, a table."""


def panel(
    kind: Kind, title: str, sql: str, *, width: int, height: int = 8, unit: str = "short", description: str = ""
) -> Json:
    """One panel with one query. `width` is of COLUMNS, `unit` one of Grafana's ids."""
    options: dict[Kind, Json] = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "colorMode": "none"},
        "table": {"showHeader": True, "cellHeight": "sm"},
        "barchart": {"legend": {"showLegend": False}, "xTickLabelSpacing": 100},
    }
    target = {
        "refId": "A",
        "datasource": SOURCE,
        "editorType": "sql",
        "queryType": "timeseries" if kind == "timeseries" else "table",
        "format": _FORMATS[kind],
        "rawSql": sql.strip(),
    }
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": options[kind],
        "targets": [target],
    }


def metric_panel(
    title: str, queries: Mapping[str, str], *, width: int, height: int = 7, unit: str = "short", description: str = ""
) -> Json:
    """A time series of metrics; `queries` are PromQL by legend."""
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend}
            for number, (legend, expr) in enumerate(queries.items())
        ],
    }


def variable(name: str, label: str, sql: str, *, multi: bool = True) -> Json:
    """A choice out of what a query gives; all of it at first, where several may be chosen."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"rawSql": sql, "refId": name, "queryType": "table", "format": 1, "editorType": "sql"},
        "definition": sql,
        "refresh": 2,
        "multi": multi,
        "includeAll": multi,
        "current": {"text": ["All"], "value": ["$__all"]} if multi else {},
        "sort": 1,
    }


def dashboard(
    uid: str,
    title: str,
    variables: Iterable[Json],
    panels: Iterable[Json],
    since: str = "now-7d",
    source: Json = SOURCE,
) -> Json:
    """A dashboard; panels stand in rows, from left to right as far as they fit."""
    kind = source["type"]
    chosen = {"type": "datasource", "name": "source", "label": _LABELS[kind], "query": kind, "refresh": 1}
    return {
        "uid": uid,
        "title": title,
        "tags": ["scoreline"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "scoreline", "tags": ["scoreline"], "keepTime": True}],
        "templating": {"list": [chosen, *variables]},
        "panels": _placed(panels),
    }


def _placed(panels: Iterable[Json]) -> list[Json]:
    x = y = row = 0
    placed: list[Json] = []
    for number, each in enumerate(panels, 1):
        size = each["gridPos"]
        if x + size["w"] > COLUMNS:
            x, y, row = 0, y + row, 0
        placed.append({"id": number, **each, "gridPos": {"x": x, "y": y, **size}})
        x, row = x + size["w"], max(row, size["h"])
    return placed

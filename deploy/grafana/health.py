"""The dashboard of the pipeline's health: Prometheus' metrics of every process, two rows for the two that matter."""

from __future__ import annotations

from deploy.grafana.panels import PROMETHEUS, Json, dashboard, metric_panel

from scoreline.observe import catalogue as c
from scoreline.observe.catalogue import Metric

_EVERY = "$__rate_interval"


def health_dashboards() -> dict[str, Json]:
    """Every dashboard of metrics by the name of its file."""
    return {"health": _health()}


def _rate(metric: Metric, by: str) -> str:
    return f"sum by ({by}) (rate({metric.name}[{_EVERY}]))"


def _rate_of(metric: Metric, by: str) -> str:
    return f"sum by ({by}) (rate({metric.name}_bucket[{_EVERY}]))"


def _quantiles(metric: Metric, by: str = "") -> dict[str, str]:
    within = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {f"p{round(q * 100)}{legend}": f"histogram_quantile({q}, {_rate_of(metric, within)})" for q in (0.5, 0.99)}


def _health() -> Json:
    return dashboard(
        "scoreline-health",
        "scoreline: health",
        [],
        [
            *_two_that_matter(),
            *_worker(),
            *_sink(),
            *_edges(),
        ],
        since="now-3h",
        source=PROMETHEUS,
    )


def _two_that_matter() -> list[Json]:
    return [
        metric_panel(
            "Lag of the worker",
            {"partition {{partition}}": f"max by (partition) ({c.WORKER_LAG_S.name})"},
            width=8,
            unit="s",
            description="Age of the oldest record that is not processed.",
        ),
        metric_panel(
            "Lag of the sink",
            {"{{lane}} {{partition}}": f"max by (lane, partition) ({c.SINK_LAG_S.name})"},
            width=8,
            unit="s",
            description="Age of the oldest record that is not stored.",
        ),
        metric_panel("From emit to a query", _quantiles(c.EMIT_TO_QUERYABLE), width=8, unit="s"),
        metric_panel(
            "Records that wait",
            {"worker": f"sum({c.WORKER_LAG.name})", "sink, {{lane}}": f"sum by (lane) ({c.SINK_LAG.name})"},
            width=8,
        ),
        metric_panel("From the broker to a query", _quantiles(c.RECEIVED_TO_QUERYABLE), width=8, unit="s"),
        metric_panel(
            "Not ready",
            {
                "{{instance}}": f"1 - {c.READY.name}",
                "{{instance}}: {{condition}}": f"1 - {c.CONDITION.name} > 0",
            },
            width=8,
        ),
    ]


def _worker() -> list[Json]:
    return [
        metric_panel("Records by outcome", {"{{outcome}}": _rate(c.WORKER_RECORDS, "outcome")}, width=8, unit="ops"),
        metric_panel("Rejected by reason", {"{{reason}}": _rate(c.WORKER_REJECTED, "reason")}, width=8, unit="ops"),
        metric_panel("Transactions", _quantiles(c.WORKER_TRANSACTION), width=8, unit="s"),
        metric_panel(
            "Partitions",
            {
                "open": f"sum({c.WORKER_OPEN.name})",
                "stopped": f"sum({c.WORKER_FLOODED.name})",
                "declared": f"max({c.WORKER_DECLARED.name})",
            },
            width=6,
        ),
        metric_panel("Records of a transaction", _quantiles(c.WORKER_BATCH), width=6),
        metric_panel("Ids in the state", {"ids": f"sum({c.WORKER_STATE_IDS.name})"}, width=6),
        metric_panel(
            "State on disk", {"{{instance}}": f"sum by (instance) ({c.WORKER_STATE_BYTES.name})"}, width=6, unit="bytes"
        ),
    ]


def _sink() -> list[Json]:
    return [
        metric_panel(
            "Stored and refused", {"{{lane}} {{outcome}}": _rate(c.SINK_RECORDS, "lane, outcome")}, width=6, unit="ops"
        ),
        metric_panel("Inserts", _quantiles(c.SINK_INSERT, "lane"), width=6, unit="s"),
        metric_panel("Rows of an insert", _quantiles(c.SINK_INSERT_ROWS, "lane"), width=6),
        metric_panel(
            "Failed, settled, repaired",
            {
                "failed, {{lane}}": _rate(c.SINK_INSERT_FAILED, "lane"),
                "settled, {{lane}}": _rate(c.SINK_SETTLED, "lane"),
                "repaired rows, {{lane}}": _rate(c.SINK_REPAIRED, "lane"),
                "commits, {{lane}}": _rate(c.SINK_COMMIT_FAILED, "lane"),
            },
            width=6,
            unit="ops",
        ),
    ]


def _edges() -> list[Json]:
    return [
        metric_panel("Scores at the gateway", {"{{outcome}}": _rate(c.GATEWAY_SCORES, "outcome")}, width=6, unit="ops"),
        metric_panel(
            "Requests", {"{{route}} {{status}}": _rate(c.HTTP_REQUESTS, "route, status")}, width=6, unit="ops"
        ),
        metric_panel("Answers", _quantiles(c.HTTP_SECONDS, "route"), width=6, unit="s"),
        metric_panel("Kafka's acknowledgement", _quantiles(c.GATEWAY_ACK), width=6, unit="s"),
        metric_panel(
            "Cores",
            {
                "{{process}} {{instance}}": f"rate(process_cpu_seconds_total[{_EVERY}]) "
                f"* on (instance) group_left (process) {c.BUILD.name}"
            },
            width=8,
        ),
        metric_panel(
            "Memory",
            {
                "{{process}} {{instance}}": "process_resident_memory_bytes "
                f"* on (instance) group_left (process) {c.BUILD.name}"
            },
            width=8,
            unit="bytes",
        ),
        metric_panel(
            "Warnings and errors in logs",
            {"{{level}} {{instance}}": _rate(c.LOGGED, "level, instance")},
            width=8,
            unit="ops",
        ),
    ]

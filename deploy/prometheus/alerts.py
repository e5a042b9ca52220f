"""The alerts as files: rules for Prometheus, and their tests for promtool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from deploy.prometheus.rules import Alert, alerts

RULES_FILE = Path(__file__).with_name("alerts.yaml")
TESTS_FILE = Path(__file__).with_name("alerts.test.yaml")
RUNBOOK = "docs/operations.md"
_HEAD = "# Written by: python -m deploy.prometheus\n"


def rules_text() -> str:
    """The file that Prometheus loads as one of its `rule_files`."""
    return _HEAD + _yaml({"groups": [{"name": "scoreline", "rules": [_rule(alert) for alert in alerts()]}]})


def promtool_tests_text() -> str:
    """The file for `promtool test rules`: each alert fires on its series, and is silent where nothing is wrong."""
    return _HEAD + _yaml(
        {
            "rule_files": [RULES_FILE.name],
            "evaluation_interval": "1m",
            "tests": [_silent(), *(_fires(alert) for alert in alerts())],
        }
    )


def _rule(alert: Alert) -> dict[str, Any]:
    held = {"for": f"{alert.minutes}m"} if alert.minutes else {}
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **held,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOK}#{alert.name.lower()}"},
    }


def _fires(alert: Alert) -> dict[str, Any]:
    labels = {**dict(alert.firing.labels), "severity": alert.severity}
    firing = f'ALERTS{{alertname="{alert.name}",alertstate="firing"}}'
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in alert.firing.series],
        "promql_expr_test": [
            {"expr": f"count({firing})", "eval_time": "25m", "exp_samples": [{"labels": "{}", "value": 1}]},
            {
                "expr": f"max by ({', '.join(sorted(labels))}) ({firing})",
                "eval_time": "25m",
                "exp_samples": [{"labels": _labels(labels), "value": 1}],
            },
        ],
    }


def _silent() -> dict[str, Any]:
    """A pipeline in health."""
    steady = {
        'scoreline_build_info{process="worker",instance="w"}': "1x30",
        'scoreline_build_info{process="sink",instance="s"}': "1x30",
        'process_start_time_seconds{instance="w"}': "1x30",
        'scoreline_ready{instance="w"}': "1x30",
        'scoreline_condition{instance="w",condition="kafka"}': "1x30",
        'scoreline_condition{instance="s",condition="clickhouse"}': "0x1 1x28",
        "scoreline_worker_partitions_open": "4x30",
        "scoreline_worker_partitions_declared": "4x30",
        "scoreline_worker_partitions_stopped": "0x30",
        'scoreline_worker_lag_seconds{partition="0"}': "0x10 70x2 0x18",
        'scoreline_worker_lag_records{partition="0"}': "0x10 70x2 0x18",
        "scoreline_worker_last_commit_timestamp_seconds": "0+60x30",
        'scoreline_worker_records_total{outcome="enriched"}': "0+6000x30",
        'scoreline_worker_rejected_total{reason="no_target"}': "0+6x30",
        "scoreline_worker_rebalances_total": "0 1x29",
        'scoreline_sink_partitions{lane="scores"}': "4x30",
        'scoreline_sink_partitions_declared{lane="scores"}': "4x30",
        'scoreline_sink_lag_seconds{lane="scores",partition="0"}': "0.4x30",
        'scoreline_sink_insert_failures_total{lane="scores"}': "0x10 2x20",
        'scoreline_received_to_queryable_seconds_bucket{le="0.5"}': "0+900x30",
        'scoreline_received_to_queryable_seconds_bucket{le="+Inf"}': "0+900x30",
        'scoreline_gateway_scores_total{outcome="accepted"}': "0+600x30",
        'scoreline_http_requests_total{route="/v1/scores",status="202"}': "0+600x30",
        'scoreline_http_requests_total{route="/v1/scores",status="503"}': "0+6x30",
    }
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in steady.items()],
        "promql_expr_test": [
            {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": f"{minute}m", "exp_samples": []}
            for minute in (5, 14, 25)
        ],
    }


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)

"""The alerts: when each fires, and series on which it does. Names of metrics are those of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scoreline.observe import catalogue as c

Severity = Literal["critical", "warning"]
"""critical: scores wait or are refused, look now. warning: look today."""


@dataclass(frozen=True, slots=True)
class Firing:
    """Series on which an alert fires, in promtool's notation, and the labels that it then has."""

    series: tuple[tuple[str, str], ...]
    """Series and its values, one a minute."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Its name is a heading of docs/operations.md, which says what to do."""

    name: str
    expr: str
    minutes: int
    """How long the expression must hold."""
    severity: Severity
    summary: str
    firing: Firing


def _flat(metric: str, value: float) -> tuple[str, str]:
    return metric, f"{value:g}x30"


def _rising(metric: str, step: float) -> tuple[str, str]:
    return metric, f"0+{step:g}x30"


def alerts() -> tuple[Alert, ...]:
    """Every alert, the gravest first."""
    return (*_absent(), *_stopped(), *_behind(), *_failing(), *_refusing())


def _absent() -> tuple[Alert, ...]:
    build, ready, condition = c.BUILD.name, c.READY.name, c.CONDITION.name
    return (
        Alert(
            "ScorelineProcessAbsent",
            f'absent({build}{{process="worker"}}) or absent({build}{{process="sink"}})',
            3,
            "critical",
            "No {{ $labels.process }} tells anything about itself.",
            Firing((_flat(f'{build}{{process="sink"}}', 1),), (("process", "worker"),)),
        ),
        Alert(
            "ScorelineKafkaAway",
            f'{condition}{{condition="kafka"}} == 0',
            2,
            "critical",
            "{{ $labels.instance }} gets no answer from Kafka.",
            Firing(
                (_flat(f'{condition}{{condition="kafka",instance="a"}}', 0),),
                (("condition", "kafka"), ("instance", "a")),
            ),
        ),
        Alert(
            "ScorelineClickHouseAway",
            f'{condition}{{condition="clickhouse"}} == 0',
            2,
            "critical",
            "{{ $labels.instance }} gets no answer from ClickHouse, or may not use it.",
            Firing(
                (_flat(f'{condition}{{condition="clickhouse",instance="a"}}', 0),),
                (("condition", "clickhouse"), ("instance", "a")),
            ),
        ),
        Alert(
            "ScorelineNotReady",
            f"{ready} == 0",
            10,
            "warning",
            "{{ $labels.instance }} has not been ready for ten minutes.",
            Firing((_flat(f'{ready}{{instance="a"}}', 0),), (("instance", "a"),)),
        ),
        Alert(
            "ScorelineRestarts",
            f"changes(process_start_time_seconds[30m]) > 3 and on (instance) {build}",
            0,
            "warning",
            "{{ $labels.instance }} was started {{ $value }} times in half an hour.",
            Firing(
                (
                    _rising('process_start_time_seconds{instance="a"}', 60),
                    _flat(f'{build}{{instance="a",process="worker"}}', 1),
                ),
                (("instance", "a"),),
            ),
        ),
    )


def _stopped() -> tuple[Alert, ...]:
    opened, declared, flooded = c.WORKER_OPEN.name, c.WORKER_DECLARED.name, c.WORKER_FLOODED.name
    sink, of_sink = c.SINK_PARTITIONS.name, c.SINK_DECLARED.name
    return (
        Alert(
            "ScorelinePartitionStopped",
            f"{flooded} > 0",
            1,
            "critical",
            "A flood of rejections has stopped {{ $value }} partitions of {{ $labels.instance }}.",
            Firing((_flat(f'{flooded}{{instance="a"}}', 1),), (("instance", "a"),)),
        ),
        Alert(
            "ScorelineWorkerPartitionsUnowned",
            f"sum({opened}) < max({declared})",
            5,
            "critical",
            "Only {{ $value }} partitions of the raw topic are processed.",
            Firing((_flat(opened, 3), _flat(declared, 4))),
        ),
        Alert(
            "ScorelineSinkPartitionsUnowned",
            f"sum by (lane) ({sink}) < max by (lane) ({of_sink})",
            5,
            "critical",
            "Only {{ $value }} partitions are stored in {{ $labels.lane }}.",
            Firing(
                (_flat(f'{sink}{{lane="scores"}}', 3), _flat(f'{of_sink}{{lane="scores"}}', 4)), (("lane", "scores"),)
            ),
        ),
    )


def _behind() -> tuple[Alert, ...]:
    slow = f"histogram_quantile(0.99, sum by (le) (rate({c.RECEIVED_TO_QUERYABLE.name}_bucket[10m]))) > 10"
    bucket = f"{c.RECEIVED_TO_QUERYABLE.name}_bucket"
    return (
        Alert(
            "ScorelineWorkerLag",
            f"max({c.WORKER_LAG_S.name}) > 60",
            5,
            "critical",
            "Scores wait {{ $value | humanizeDuration }} for a worker.",
            Firing((_flat(f'{c.WORKER_LAG_S.name}{{partition="1"}}', 90),)),
        ),
        Alert(
            "ScorelineSinkLag",
            f"max by (lane) ({c.SINK_LAG_S.name}) > 60",
            5,
            "critical",
            "Records wait {{ $value | humanizeDuration }} to be stored in {{ $labels.lane }}.",
            Firing((_flat(f'{c.SINK_LAG_S.name}{{lane="scores",partition="1"}}', 90),), (("lane", "scores"),)),
        ),
        Alert(
            "ScorelineWorkerStalled",
            f"max({c.WORKER_LAG.name}) > 0 and (time() - max({c.WORKER_COMMITTED_AT.name})) > 180",
            2,
            "critical",
            "{{ $value }} records wait and no worker commits any.",
            Firing((_flat(f'{c.WORKER_LAG.name}{{partition="1"}}', 9), _flat(c.WORKER_COMMITTED_AT.name, 1))),
        ),
        Alert(
            "ScorelineSlow",
            slow,
            10,
            "warning",
            "One score in a hundred takes longer than {{ $value | humanizeDuration }} from the broker to a query.",
            Firing(
                (
                    _rising(f'{bucket}{{le="10"}}', 10),
                    _rising(f'{bucket}{{le="30"}}', 90),
                    _rising(f'{bucket}{{le="+Inf"}}', 90),
                )
            ),
        ),
    )


def _failing() -> tuple[Alert, ...]:
    failed, refused, repaired = c.SINK_INSERT_FAILED.name, c.SINK_RECORDS.name, c.SINK_REPAIRED.name
    lane = (("lane", "scores"),)
    return (
        Alert(
            "ScorelineInsertsFail",
            f"sum by (lane) (increase({failed}[10m])) > 5",
            5,
            "warning",
            "ClickHouse refused or did not answer {{ $value | humanize }} inserts into {{ $labels.lane }}.",
            Firing((_rising(f'{failed}{{lane="scores"}}', 3),), lane),
        ),
        Alert(
            "ScorelineRowsRefused",
            f'sum by (lane) (increase({refused}{{outcome="refused"}}[15m])) > 0',
            0,
            "warning",
            "ClickHouse refuses rows that the worker found right.",
            Firing((_rising(f'{refused}{{lane="scores",outcome="refused"}}', 1),), lane),
        ),
        Alert(
            "ScorelineRowsRepaired",
            f"sum by (lane) (increase({repaired}[1h])) > 0",
            0,
            "warning",
            "ClickHouse had acknowledged rows that it did not hold; they were inserted again.",
            Firing((_rising(f'{repaired}{{lane="scores"}}', 1),), lane),
        ),
        Alert(
            "ScorelineTransactionsFail",
            f"sum(increase({c.WORKER_FAILED.name}[15m])) > 3",
            0,
            "warning",
            "{{ $value | humanize }} transactions of workers ended in doubt within a quarter of an hour.",
            Firing((_rising(c.WORKER_FAILED.name, 1),)),
        ),
        Alert(
            "ScorelineRebalances",
            f"sum(increase({c.WORKER_REBALANCES.name}[30m])) > 20 or sum(increase({c.SINK_REBALANCES.name}[30m])) > 40",
            0,
            "warning",
            "Partitions change hands all the time.",
            Firing((_rising(c.WORKER_REBALANCES.name, 2),)),
        ),
    )


def _refusing() -> tuple[Alert, ...]:
    scores, requests = c.GATEWAY_SCORES.name, c.HTTP_REQUESTS.name
    rejected, records = c.WORKER_REJECTED.name, c.WORKER_RECORDS.name
    return (
        Alert(
            "ScorelineGatewayUnavailable",
            f'sum(rate({scores}{{outcome="unavailable"}}[5m])) > 0',
            5,
            "critical",
            "The gateway tells its callers to come back later, {{ $value | humanize }} scores a second.",
            Firing((_rising(f'{scores}{{outcome="unavailable"}}', 60),)),
        ),
        Alert(
            "ScorelineServerErrors",
            f'sum by (route) (rate({requests}{{status=~"5.."}}[10m])) / sum by (route) (rate({requests}[10m])) > 0.05',
            5,
            "warning",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.route }} fail.",
            Firing(
                (
                    _rising(f'{requests}{{route="/v1/x",status="503"}}', 9),
                    _rising(f'{requests}{{route="/v1/x",status="200"}}', 9),
                ),
                (("route", "/v1/x"),),
            ),
        ),
        Alert(
            "ScorelineRejections",
            f"sum(rate({rejected}[10m])) / sum(rate({records}[10m])) > 0.05",
            10,
            "warning",
            "{{ $value | humanizePercentage }} of all records are rejected.",
            Firing((_rising(f'{rejected}{{reason="no_target"}}', 9), _rising(f'{records}{{outcome="rejected"}}', 9))),
        ),
        Alert(
            "ScorelineClientLoses",
            f"sum by (instance) (increase({c.CLIENT_FAILED.name}[15m])) > 0",
            0,
            "warning",
            "{{ $labels.instance }} gave up scores.",
            Firing((_rising(f'{c.CLIENT_FAILED.name}{{instance="a"}}', 1),), (("instance", "a"),)),
        ),
    )

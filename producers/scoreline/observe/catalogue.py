"""Every metric of every process: the one list that processes count by, alerts and dashboards name, and
docs/metrics.md is written from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Of a metric, as Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Process(StrEnum):
    """Which processes have a metric."""

    WORKER = "worker"
    SINK = "sink"
    GATEWAY = "gateway"
    UI = "ui"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Its unit is the end of its name: `_total` counts, `_seconds`, `_bytes`; else a number."""

    name: str
    kind: Kind
    of: tuple[Process, ...]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram."""


_WORKER, _SINK, _GATEWAY, _UI = (Process.WORKER,), (Process.SINK,), (Process.GATEWAY,), (Process.UI,)
_WEB = (Process.GATEWAY, Process.UI)
_SERVICES = (Process.WORKER, Process.SINK, Process.GATEWAY, Process.UI)
_CLIENT = (Process.CLIENT,)
_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

_CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
_END_TO_END_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_BATCH = (1.0, 10.0, 100.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0, 50_000.0, 100_000.0, 500_000.0)

BUILD = Metric("scoreline_build_info", _GAUGE, _SERVICES, "1, by process and release.", ("process", "version"))
READY = Metric("scoreline_ready", _GAUGE, _SERVICES, "Whether the process can work: 1 or 0, as /readyz says.")
CONDITION = Metric(
    "scoreline_condition",
    _GAUGE,
    _SERVICES,
    "Whether one of the conditions of being ready holds, 1 or 0: `kafka` and `clickhouse` answer, `partitions` are "
    "open, `keys` are known …",
    ("condition",),
)
LOGGED = Metric(
    "scoreline_log_records_total", _COUNTER, _SERVICES, "Log records of level warning and above.", ("level",)
)

WORKER_RECORDS = Metric(
    "scoreline_worker_records_total",
    _COUNTER,
    _WORKER,
    "Raw records whose transaction is committed, by what became of them: `enriched`, `duplicate`, `rejected`.",
    ("outcome",),
)
WORKER_REJECTED = Metric(
    "scoreline_worker_rejected_total", _COUNTER, _WORKER, "Rejected records by reason (docs/contract.md).", ("reason",)
)
WORKER_BATCH = Metric("scoreline_worker_batch_records", _HISTOGRAM, _WORKER, "Records of a transaction.", (), _BATCH)
WORKER_TRANSACTION = Metric(
    "scoreline_worker_transaction_seconds",
    _HISTOGRAM,
    _WORKER,
    "From the begin of a transaction to its commit.",
    (),
    _CALL_S,
)
WORKER_FAILED = Metric(
    "scoreline_worker_transactions_failed_total",
    _COUNTER,
    _WORKER,
    "Transactions that ended in an error or in doubt; their partition was opened anew.",
)
WORKER_COMMITTED_AT = Metric(
    "scoreline_worker_last_commit_timestamp_seconds",
    _GAUGE,
    _WORKER,
    "When the last transaction was committed, Unix time.",
)
WORKER_LAG = Metric(
    "scoreline_worker_lag_records",
    _GAUGE,
    _WORKER,
    "Offsets of a partition of the raw topic between what is committed and its end, as far as this worker has heard.",
    ("partition",),
)
WORKER_LAG_S = Metric(
    "scoreline_worker_lag_seconds",
    _GAUGE,
    _WORKER,
    "Age of the oldest raw record that is not processed; 0 without lag.",
    ("partition",),
)
WORKER_ASSIGNED = Metric("scoreline_worker_partitions", _GAUGE, _WORKER, "Partitions that Kafka gave this worker.")
WORKER_OPEN = Metric("scoreline_worker_partitions_open", _GAUGE, _WORKER, "Those of them that are being processed.")
WORKER_FLOODED = Metric(
    "scoreline_worker_partitions_stopped", _GAUGE, _WORKER, "Those that a flood of rejections has stopped."
)
WORKER_DECLARED = Metric(
    "scoreline_worker_partitions_declared", _GAUGE, _WORKER, "Partitions of the raw topic (SCORELINE_PARTITIONS)."
)
WORKER_OPENING = Metric(
    "scoreline_worker_open_seconds",
    _HISTOGRAM,
    _WORKER,
    "From the assignment of a partition to its first fetch: fence, restore, seek.",
    (),
    _CALL_S,
)
WORKER_REBALANCES = Metric("scoreline_worker_rebalances_total", _COUNTER, _WORKER, "Assignments of partitions.")
WORKER_STATE_IDS = Metric(
    "scoreline_worker_state_ids",
    _GAUGE,
    _WORKER,
    "Ids that the state remembers, as RocksDB estimates them.",
    ("partition",),
)
WORKER_STATE_BYTES = Metric(
    "scoreline_worker_state_bytes", _GAUGE, _WORKER, "Bytes of the state on disk and not yet flushed.", ("partition",)
)

SINK_RECORDS = Metric(
    "scoreline_sink_records_total",
    _COUNTER,
    _SINK,
    "Records that are done with: `stored` as rows, or `refused` by ClickHouse and gone to the rejected ones. `lane` is "
    "the table, here and below: `scores` or `rejected_scores`.",
    ("lane", "outcome"),
)
SINK_INSERT = Metric(
    "scoreline_sink_insert_seconds",
    _HISTOGRAM,
    _SINK,
    "From sending an insert to ClickHouse's answer.",
    ("lane",),
    _CALL_S,
)
SINK_INSERT_ROWS = Metric("scoreline_sink_insert_rows", _HISTOGRAM, _SINK, "Rows of an insert.", ("lane",), _BATCH)
SINK_INSERT_BYTES = Metric(
    "scoreline_sink_insert_bytes_total", _COUNTER, _SINK, "Bytes of inserts, uncompressed.", ("lane",)
)
SINK_INSERT_FAILED = Metric(
    "scoreline_sink_insert_failures_total",
    _COUNTER,
    _SINK,
    "Inserts and probes of a table that ended in an error; they are tried again until they succeed.",
    ("lane",),
)
SINK_SETTLED = Metric(
    "scoreline_sink_settled_total",
    _COUNTER,
    _SINK,
    "Plans that were settled by asking the table, after a doubt or a restart.",
    ("lane",),
)
SINK_REPAIRED = Metric(
    "scoreline_sink_repaired_rows_total",
    _COUNTER,
    _SINK,
    "Rows that ClickHouse had acknowledged and did not hold.",
    ("lane",),
)
SINK_COMMIT = Metric(
    "scoreline_sink_commit_seconds", _HISTOGRAM, _SINK, "Duration of a commit to Kafka.", ("lane",), _CALL_S
)
SINK_COMMIT_FAILED = Metric(
    "scoreline_sink_commit_failures_total",
    _COUNTER,
    _SINK,
    "Commits to Kafka without an answer; tried again.",
    ("lane",),
)
SINK_STORED_AT = Metric(
    "scoreline_sink_last_insert_timestamp_seconds",
    _GAUGE,
    _SINK,
    "When ClickHouse took the last insert, Unix time.",
    ("lane",),
)
SINK_LAG = Metric(
    "scoreline_sink_lag_records",
    _GAUGE,
    _SINK,
    "Offsets of a partition between what is committed and its end, as far as this sink has heard.",
    ("lane", "partition"),
)
SINK_LAG_S = Metric(
    "scoreline_sink_lag_seconds",
    _GAUGE,
    _SINK,
    "Age of the oldest record that is not stored; 0 without lag.",
    ("lane", "partition"),
)
SINK_PARTITIONS = Metric("scoreline_sink_partitions", _GAUGE, _SINK, "Partitions that Kafka gave this lane.", ("lane",))
SINK_DECLARED = Metric(
    "scoreline_sink_partitions_declared",
    _GAUGE,
    _SINK,
    "Partitions of the lane's topic (SCORELINE_PARTITIONS).",
    ("lane",),
)
SINK_BUFFERED = Metric(
    "scoreline_sink_buffered_rows", _GAUGE, _SINK, "Rows that were read and are not being inserted.", ("lane",)
)
SINK_REBALANCES = Metric("scoreline_sink_rebalances_total", _COUNTER, _SINK, "Assignments of partitions.", ("lane",))
EMIT_TO_QUERYABLE = Metric(
    "scoreline_emit_to_queryable_seconds",
    _HISTOGRAM,
    _SINK,
    "From a score's `timestamp` to the moment when queries see it. Without scores that were judged more than an hour "
    "before they were received. A bounded sample of each insert, weighted by the rows it stands for.",
    (),
    _END_TO_END_S,
)
RECEIVED_TO_QUERYABLE = Metric(
    "scoreline_received_to_queryable_seconds",
    _HISTOGRAM,
    _SINK,
    "From the broker's time of the raw record (`received_at`) to the moment when queries see it: what worker and sink "
    "take. Sampled in the same way.",
    (),
    _END_TO_END_S,
)

HTTP_REQUESTS = Metric(
    "scoreline_http_requests_total",
    _COUNTER,
    _WEB,
    "Answered requests by route and status; `other` is no route of ours.",
    ("route", "status"),
)
HTTP_SECONDS = Metric(
    "scoreline_http_request_seconds",
    _HISTOGRAM,
    _WEB,
    "From the head of a request to the end of its answer.",
    ("route",),
    _CALL_S,
)
HTTP_OPEN = Metric("scoreline_http_requests_open", _GAUGE, _WEB, "Requests that are being answered.")
GATEWAY_SCORES = Metric(
    "scoreline_gateway_scores_total",
    _COUNTER,
    _GATEWAY,
    "Scores by what became of them: `accepted` by the broker, `rejected` as invalid, `unavailable`: their senders were "
    "told to send them again.",
    ("outcome",),
)
GATEWAY_ACK = Metric(
    "scoreline_gateway_ack_seconds",
    _HISTOGRAM,
    _GATEWAY,
    "From handing a request's records to Kafka to its acknowledgement.",
    (),
    _CALL_S,
)
GATEWAY_BUFFERED = Metric(
    "scoreline_gateway_buffered_bytes", _GAUGE, _GATEWAY, "Bytes of records that wait for the broker's acknowledgement."
)
KEYS = Metric("scoreline_api_keys", _GAUGE, _WEB, "API keys that are known.")
UI_QUESTIONS = Metric(
    "scoreline_ui_questions_open", _GAUGE, _UI, "Questions that are being answered, or wait for a thread."
)

CLIENT_SENT = Metric("scoreline_client_sent_total", _COUNTER, _CLIENT, "Scores taken into the queue.")
CLIENT_BYTES = Metric("scoreline_client_sent_bytes_total", _COUNTER, _CLIENT, "Length of their records, uncompressed.")
CLIENT_REFUSED = Metric("scoreline_client_refused_total", _COUNTER, _CLIENT, "Scores not taken: invalid, or no room.")
CLIENT_ACKNOWLEDGED = Metric("scoreline_client_acknowledged_total", _COUNTER, _CLIENT, "Scores that the broker has.")
CLIENT_FAILED = Metric(
    "scoreline_client_failed_total", _COUNTER, _CLIENT, "Scores given up, or left unsent at the end."
)
CLIENT_RECOVERED = Metric(
    "scoreline_client_recovered_total",
    _COUNTER,
    _CLIENT,
    "Scores of processes that ended before, delivered from the spool.",
)


def catalogue() -> tuple[Metric, ...]:
    """Every metric, in the order of this file."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))

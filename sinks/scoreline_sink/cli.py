"""The command `scoreline sink`."""

from __future__ import annotations

from scoreline.settings import load_settings


def sink() -> None:
    """Move scores.enriched and scores.rejected into ClickHouse, each record once, until SIGTERM or Ctrl-C.

    Run as many as there are partitions to share; each takes its part. It waits for Kafka and ClickHouse as long as
    they are away, and stops with an error when a topic or the schema is missing (`scoreline topics`,
    `scoreline migrate`) or the server is set up so that rows could be lost or doubled. A score that ClickHouse refuses
    goes to scores.rejected with its error. Killed at any moment, the next start finishes what was planned, without
    losing or doubling a row.

    Settings that matter here: SCORELINE_KAFKA, SCORELINE_CLICKHOUSE_*, SCORELINE_INSERT_ROWS_MAX,
    SCORELINE_INSERT_LINGER_S, SCORELINE_REFUSED_ROWS_MAX, SCORELINE_INSTANCE_ID, SCORELINE_READY_FILE.
    """
    from scoreline_sink.main import run

    run(load_settings())

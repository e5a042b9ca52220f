"""Kafka Connect with ClickHouse's own sink connector, as a good user of it would tune it.

A standalone worker of one task. Values go through as text (StringConverter, `insertFormat` json), so that nothing in
Java parses them; inserts have as many rows as our sink's, from all partitions. That is at least once. `exactlyOnce`
needs a KeeperMap table, which a server without a keeper cannot have, and then inserts every partition by itself.

The worker's jars are fetched by their SHA-256. The connector is in no Maven repository: `--connector` names the folder
of its unpacked release.
"""

from __future__ import annotations

from pathlib import Path

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_local.datadir import write_private
from scoreline_local.jars import JarSet, ensure_jars
from scoreline_local.java import find_java
from scoreline_local.ports import HOST, pick_free
from tests.benchmarks.harness import NotAvailable, say

KAFKA_CONNECT = JarSet("kafka-connect-4.3.0", "Kafka Connect 4.3.0", 33, "tests.benchmarks.sink")
JVM = ("-Xms1g", "-Xmx2g", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
FETCH_BYTES = 50 * 1024 * 1024
PARTITION_FETCH_BYTES = 10 * 1024 * 1024
FLUSH_MS = 1000


def connector_jar(folder: Path) -> Path:
    """The connector in its folder. Raises NotAvailable."""
    found = sorted(folder.rglob("clickhouse-kafka-connect*.jar"))
    if not found:
        raise NotAvailable(
            f"no clickhouse-kafka-connect*.jar below {folder}: unpack a release of the connector there, or name its "
            "folder with --connector"
        )
    return found[0]


def command(settings: Settings, folder: Path, connector: Path) -> tuple[str, ...]:
    """The command of a worker that fills `scores`; writes its properties into an empty folder."""
    group = folder.name
    worker, sink = folder / "worker.properties", folder / "sink.properties"
    write_private(worker, _text(worker_properties(settings, folder, connector)))
    write_private(sink, _text(sink_properties(settings, group)))
    jars = ensure_jars(say, KAFKA_CONNECT)
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    return (str(find_java()), *JVM, "-cp", f"{jars}/*", main, str(worker), str(sink))


def worker_properties(settings: Settings, folder: Path, connector: Path) -> dict[str, object]:
    """Of the Connect worker and its consumers."""
    (port,) = pick_free(1)
    return {
        "bootstrap.servers": settings.kafka,
        "listeners": f"http://{HOST}:{port}",
        "plugin.path": connector.parent.parent,
        "offset.storage.file.filename": folder / "offsets",
        "offset.flush.interval.ms": 5000,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "consumer.isolation.level": "read_committed",
        "consumer.auto.offset.reset": "earliest",
        "consumer.max.poll.records": settings.insert_rows_max,
        "consumer.fetch.max.bytes": FETCH_BYTES,
        "consumer.max.partition.fetch.bytes": PARTITION_FETCH_BYTES,
    }


def sink_properties(settings: Settings, name: str) -> dict[str, object]:
    """Of the connector."""
    topic = declare_topics(settings).enriched.name
    return {
        "name": name,
        "connector.class": "com.clickhouse.kafka.connect.ClickHouseSinkConnector",
        "tasks.max": 1,
        "topics": topic,
        "topic2TableMap": f"{topic}=scores",
        "hostname": settings.clickhouse_host,
        "port": settings.clickhouse_port,
        "ssl": "false",
        "database": settings.clickhouse_database,
        "username": settings.clickhouse_user,
        "password": settings.clickhouse_password.get_secret_value(),
        "exactlyOnce": "false",
        "customInsertFormat": "true",
        "insertFormat": "json",
        "clientVersion": "V2",
        "bufferCount": settings.insert_rows_max,
        "bufferFlushTime": FLUSH_MS,
        "ignorePartitionsWhenBatching": "true",
        "clickhouseSettings": "date_time_input_format=best_effort",
        # its client reads LZ4 only, a server of today answers in ZSTD
        "jdbcConnectionProperties": "?compress=0",
    }


def _text(properties: dict[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())

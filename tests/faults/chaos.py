"""`make chaos`: kill and freeze every process of a real stack under load, then account for every acknowledged score.

Three brokers with three copies of everything, ClickHouse, worker and sink, all real, under the supervisor that restarts
them. One process emits; this one sends kill -9 and SIGSTOP at random. At the end the ids that were acknowledged are
compared with the rows, the rollup with the rows, and `scoreline reconcile` has to agree.

    python -m tests.faults.chaos --seed 7 --seconds 600

Writes build/chaos.json and ends with status 1 when a score was lost or doubled. A seed repeats the choice of victims
and pauses, not the moments at which the machine lets them happen.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect

from scoreline.client import Client
from scoreline.settings import Settings, load_settings
from scoreline.topics import record_key
from scoreline_local import stack
from scoreline_local.plan import ProcessState, StackState, State
from scoreline_local.settings import LocalSettings
from tests.support import environment

RATE = 1000
REPEAT_EVERY, BREAK_EVERY = 10, 50
PAUSE_S = (0.3, 2.0)
FREEZE_SHARE, FREEZE_S = 0.15, (2.0, 8.0)
RECOVERY_S_MAX = 90.0
DRAIN_S_MAX = 180.0
REPORT = Path("build/chaos.json")


@dataclass
class Campaign:
    """What a campaign did and found; the content of build/chaos.json."""

    seed: int
    seconds: float
    kills: Counter[str] = field(default_factory=Counter[str])
    freezes: Counter[str] = field(default_factory=Counter[str])
    acknowledged: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    lost: int = 0
    double: int = 0
    faults: list[str] = field(default_factory=list[str])
    recovery_s: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """By component: p50, p95 and max of the seconds from a kill until a score received after it can be queried."""


@dataclass(frozen=True)
class Ledger:
    """What the emitter did; every one of its calls was acknowledged."""

    calls: int
    scores: int
    """Ids `c-0` to `c-<scores - 1>`, each emitted once or more with the same content."""
    repeats: int
    broken: int


def emit(seconds: float) -> Ledger:
    """Emit at `RATE` for so long, repeating and breaking some, and wait until all is acknowledged."""
    calls = scores = repeats = broken = 0
    with Client(load_settings(queue_wait_s=300.0, flush_s=300.0, kafka_options={"message.timeout.ms": "0"})) as client:
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            while calls < elapsed * RATE:
                calls += 1
                if calls % BREAK_EVERY == 0:
                    client.send(record_key(client.settings.project, f"broken-{calls}"), b"{broken")
                    broken += 1
                elif calls % REPEAT_EVERY == 1 and scores > 1000:
                    _score(client, scores - 1 - calls % 1000)
                    repeats += 1
                else:
                    _score(client, scores)
                    scores += 1
            time.sleep(0.002)
    return Ledger(calls, scores, repeats, broken)


def _score(client: Client, number: int) -> None:
    client.create_score(name=f"n{number % 5}", value=number % 101, trace_id="t", score_id=f"c-{number}")


def run(seed: int, seconds: float, brokers: int, data_dir: Path, say: Callable[[str], None]) -> Campaign:
    """One campaign on a stack of its own, which is stopped at the end."""
    campaign = Campaign(seed, seconds)
    stack.down(data_dir, lambda _: None)
    stack.fresh(data_dir)
    local = LocalSettings(data_dir=data_dir, kafka_port=0, clickhouse_port=0)
    endpoints = stack.up(local, brokers=3 if brokers == 3 else 1, tell=say)
    settings = load_settings(
        kafka=endpoints.kafka,
        replication_factor=brokers,
        **({f"clickhouse_{name}": value for name, value in endpoints.clickhouse.model_dump().items()}),  # pyright: ignore[reportOptionalMemberAccess]
    )
    try:
        command = [sys.executable, "-m", "tests.faults.chaos", "--emit", str(seconds)]
        emitter = subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, text=True)
        recoveries = _torment(campaign, random.Random(seed), settings, data_dir, emitter, say)
        output, _ = emitter.communicate(timeout=DRAIN_S_MAX)
        assert emitter.returncode == 0, "the emitter failed"
        _await_drained(data_dir)
        judge(campaign, Ledger(**json.loads(output)), settings)
        campaign.recovery_s = {name: _spread(times) for name, times in recoveries.items()}
    finally:
        stack.down(data_dir, say)
    return campaign


def _torment(
    campaign: Campaign,
    chance: random.Random,
    settings: Settings,
    data_dir: Path,
    emitter: subprocess.Popen[str],
    say: Callable[[str], None],
) -> dict[str, list[float]]:
    recoveries: dict[str, list[float]] = defaultdict(list)
    started = time.monotonic()
    while emitter.poll() is None and time.monotonic() - started < campaign.seconds:
        victims = [p for p in _processes(data_dir) if p.state is State.READY and p.pid is not None]
        kinds = sorted({_kind(process) for process in victims})
        if not kinds:
            time.sleep(0.1)
            continue
        kind = chance.choice(kinds)
        victim = chance.choice([process for process in victims if _kind(process) == kind])
        brokers_up = sum(1 for process in victims if _kind(process) == "kafka")
        if kind == "kafka" and 1 < brokers_up < 3:
            continue
        assert victim.pid is not None
        if chance.random() < FREEZE_SHARE:
            campaign.freezes[kind] += 1
            _signal(victim.pid, signal.SIGSTOP)
            time.sleep(chance.uniform(*FREEZE_S))
            _signal(victim.pid, signal.SIGCONT)
        else:
            campaign.kills[kind] += 1
            killed_at = time.time()
            _signal(victim.pid, signal.SIGKILL)
            recovered = _seconds_until_visible(settings, killed_at, emitter)
            if recovered is not None:
                recoveries[kind].append(recovered)
        time.sleep(chance.uniform(*PAUSE_S))
        done = campaign.kills.total()
        if done and done % 20 == 0:
            say(f"{done} kills, {campaign.freezes.total()} freezes, {time.monotonic() - started:.0f} s")
    return recoveries


def _kind(process: ProcessState) -> str:
    return process.name.partition("-")[0]


def _processes(data_dir: Path) -> tuple[ProcessState, ...]:
    state = StackState.model_validate_json((data_dir / "state.json").read_text())
    return tuple(process for process in state.processes if not process.runs_once)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it was between two lives


def _seconds_until_visible(settings: Settings, since: float, emitter: subprocess.Popen[str]) -> float | None:
    """Until a score that was received after `since` is a row; None when the emitter ended before that."""
    while time.time() - since < RECOVERY_S_MAX:
        try:
            newest = _ask(settings, "SELECT toUnixTimestamp64Milli(max(received_at)) / 1000 FROM scores")[0][0]
        except Exception:  # noqa: BLE001 (ClickHouse is among the victims)
            newest = 0.0
        if newest > since:
            return time.time() - since
        if emitter.poll() is not None:
            return None
        time.sleep(0.05)
    raise AssertionError(f"nothing moved for {RECOVERY_S_MAX:.0f} s after a kill")


def _await_drained(data_dir: Path) -> None:
    deadline = time.monotonic() + DRAIN_S_MAX
    while not all(behind == 0 for behind in stack.status(data_dir).lag.values()):
        assert time.monotonic() < deadline, f"lag does not reach 0: {stack.status(data_dir).lag}"
        time.sleep(0.5)


def judge(campaign: Campaign, ledger: Ledger, settings: Settings) -> None:
    """Compare the emitter's ledger with rows and rollup, and ask reconcile."""
    campaign.acknowledged = ledger.calls
    [(campaign.stored, ids)] = _ask(settings, "SELECT count(), uniqExact(score_id) FROM scores")
    [(campaign.rejected,)] = _ask(settings, "SELECT count() FROM rejected_scores")
    campaign.duplicate = ledger.calls - campaign.stored - campaign.rejected
    campaign.double = campaign.stored - ids
    wanted = {f"c-{number}" for number in range(ledger.scores)}
    found = {row[0] for row in _ask(settings, "SELECT DISTINCT score_id FROM scores")}
    campaign.lost = len(wanted - found)
    campaign.faults += list(_differences(campaign, ledger, found - wanted, settings))
    command = [sys.executable, "-m", "scoreline.cli", "reconcile", "--json"]
    proof = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False)
    if proof.returncode:
        campaign.faults.append(f"reconcile: {proof.stdout or proof.stderr}")


def _differences(campaign: Campaign, ledger: Ledger, strange: set[str], settings: Settings) -> Iterator[str]:
    expected = {"stored": ledger.scores, "duplicate": ledger.repeats, "rejected": ledger.broken, "lost": 0, "double": 0}
    for name, wanted in expected.items():
        if getattr(campaign, name) != wanted:
            yield f"{name}: {getattr(campaign, name)}, expected {wanted}"
    if strange:
        yield f"ids that nobody emitted: {sorted(strange)[:5]}"
    [(rows, total)] = _ask(settings, "SELECT sum(scores), sum(value_sum) FROM scores_by_hour")
    exact = sum(number % 101 for number in range(ledger.scores))
    if (rows, total) != (ledger.scores, exact):
        yield f"rollup: {rows} scores with sum {total}, expected {ledger.scores} with {exact}"


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "kills": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 2),
        "p95": round(ordered[int(len(ordered) * 0.95)], 2),
        "max": round(ordered[-1], 2),
    }


def _connect(settings: Settings) -> Any:
    return clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
        connect_timeout=2,
        send_receive_timeout=30,
    )


def _ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    client = _connect(settings)
    try:
        return [tuple(row) for row in client.query(sql).result_rows]
    finally:
        client.close()


def main() -> int:
    """Entry point: exit status 1 when a score was lost, doubled or unaccounted for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--data-dir", type=Path, default=Path("build/chaos"))
    parser.add_argument("--emit", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.emit is not None:
        sys.stdout.write(json.dumps(asdict(emit(options.emit))))
        return 0

    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    say(f"seed {options.seed}, {options.seconds:.0f} s, {options.brokers} broker(s)")
    campaign = run(options.seed, options.seconds, options.brokers, options.data_dir, say)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(vars(campaign), indent=2))
    say(json.dumps(vars(campaign), indent=2))
    return 1 if campaign.faults else 0


if __name__ == "__main__":
    sys.exit(main())

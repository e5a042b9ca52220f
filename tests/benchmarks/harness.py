"""What the benchmarks share: a broker of their own, what the machine was like, tables, and the file of results."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scoreline.settings import Settings, load_settings
from scoreline_local import stack
from scoreline_local.settings import LocalSettings

JVM = "-Xms1g -Xmx1g -XX:+UseG1GC"
"""A broker as in production; the local stack's default is tuned for a quick start."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def broker(data_dir: Path, partitions: int) -> Iterator[Settings]:
    """A Kafka broker in an emptied folder, for as long as the context lasts; settings without topics."""
    with local_stack(data_dir, ("kafka",), {"SCORELINE_PARTITIONS": str(partitions)}):
        yield load_settings()


@contextmanager
def local_stack(
    data_dir: Path, parts: tuple[str, ...], environment: Mapping[str, str], kafka_jvm: str = JVM
) -> Iterator[stack.Endpoints]:
    """Parts of the local stack in an emptied folder, for as long as the context lasts.

    They, and `load_settings`, have the settings of `environment` and no others.
    """
    for name in [name for name in os.environ if name.startswith("SCORELINE_")]:
        del os.environ[name]
    os.environ.update(environment)
    stack.down(data_dir, lambda _: None)
    stack.fresh(data_dir)
    try:
        local = LocalSettings(data_dir=data_dir, kafka_port=0, clickhouse_port=0, gateway_port=0, kafka_jvm=kafka_jvm)
        endpoints = stack.up(local, parts=parts, tell=say)
        os.environ.update(endpoints.environment)
        yield endpoints
    finally:
        stack.down(data_dir, say)
        stack.fresh(data_dir)


def machine() -> dict[str, Any]:
    """What a figure is worth nothing without."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of which is the head, in columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    say(f"written to {path}")

"""The whole pipeline of one test, and what a test asks of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect

from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from tests.support import Running, environment, eventually, lag


@dataclass(frozen=True)
class Pipeline:
    """A running pipeline on real parts."""

    settings: Settings
    worker: Running
    sink: Running

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a `scoreline` command as a user would; its standard output."""
        command = [sys.executable, "-m", "scoreline.cli", *arguments]
        done = subprocess.run(
            command, env=environment(self.settings), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def drain(self) -> None:
        """Return once everything that is in the topics is in ClickHouse."""
        topics, groups = declare_topics(self.settings), declare_groups(self.settings)
        for group, topic in (
            (groups.worker, topics.raw),
            (groups.sink_enriched, topics.enriched),
            (groups.sink_rejected, topics.rejected),
        ):
            eventually(lambda g=group, t=topic.name: lag(self.settings, g, t) == 0, f"no lag on {topic.name}")

    def ask(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query in the pipeline's database."""
        client = clickhouse_connect.get_client(
            host=self.settings.clickhouse_host,
            port=self.settings.clickhouse_port,
            username=self.settings.clickhouse_user,
            database=self.settings.clickhouse_database,
        )
        try:
            return [tuple(row) for row in client.query(sql, parameters=parameters).result_rows]
        finally:
            client.close()

    def import_file(self, file: Path, mapping: dict[str, str]) -> dict[str, int]:
        """`scoreline import` with this mapping; what it reports."""
        maps = [argument for field, template in mapping.items() for argument in ("--map", f"{field}={template}")]
        return json.loads(self.run("import", str(file), *maps, "--json"))


def start(settings: Settings, folder: Path, command: str) -> Running:
    """The worker or the sink, a static member of its group: started again after a kill it takes over at once."""
    return Running(settings.model_copy(update={"instance_id": f"test-{command}"}), folder, command)

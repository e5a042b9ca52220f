"""The migrations' SQL for one server and for a cluster: the same files, other engines. Pure.

On a cluster each table `X` is `X_shard`, replicated, and a Distributed table `X` over the shards; what reads and writes
names `X` in both forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clickhouse_migrations.migrator import Migrator
from clickhouse_migrations.substitution import substitute

from scoreline.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"
SHARDED = ("scores", "rejected_scores", "dead_letter_actions")
"""Tables that are spread over the shards of a cluster."""
_CLUSTER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tables are to live."""

    cluster: str | None = None
    """A cluster of the server's `remote_servers`; None: one server without Keeper."""

    def __post_init__(self) -> None:
        """Raise SettingsError for a name that can be none of a cluster."""
        if self.cluster is not None and _CLUSTER.fullmatch(self.cluster) is None:
            raise SettingsError(f"--cluster {self.cluster!r}: letters, digits, _ . and - only, as in remote_servers")

    @property
    def variables(self) -> Mapping[str, str]:
        """What stands for each `${NAME}` in the migration files."""
        if self.cluster is None:
            return {
                "SHARD": "",
                "ON_CLUSTER": "",
                "CLUSTER": "",
                "REPLICATED": "",
                "WINDOW": "non_replicated_deduplication_window",
                "CLUSTER_ONLY": "-- only on a cluster: ",
            }
        return {
            "SHARD": "_shard",
            "ON_CLUSTER": f" ON CLUSTER '{self.cluster}'",
            "CLUSTER": f"'{self.cluster}'",
            "REPLICATED": "Replicated",
            "WINDOW": "replicated_deduplication_window",
            "CLUSTER_ONLY": "",
        }

    def local(self, table: str) -> str:
        """The table of one server that holds the rows."""
        return f"{table}{self.variables['SHARD']}"


def names() -> dict[int, str]:
    """Version → name of every migration of this release, oldest first."""
    return {int(path.name.partition("_")[0]): path.stem for path in sorted(MIGRATIONS.glob("*.sql"))}


def statements(version: int, layout: Layout) -> list[str]:
    """The statements of a migration as they are sent, each with its semicolon and the comments before it."""
    name = names()[version]
    text = substitute((MIGRATIONS / f"{name}.sql").read_text("utf-8"), layout.variables, name)
    return Migrator.script_to_statements(text, True)


def script(versions: list[int], database: str, layout: Layout) -> str:
    """These migrations as one script for clickhouse-client; it makes the database too, but notes no versions."""
    head = [f"CREATE DATABASE IF NOT EXISTS {database}{layout.variables['ON_CLUSTER']};", f"USE {database};"]
    return "".join(f"{statement}\n\n" for statement in (*head, *(s for v in versions for s in statements(v, layout))))

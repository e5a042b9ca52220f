"""A database with the real schema and scores in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import clickhouse_connect
import pytest

from scoreline.settings import Settings
from scoreline_analytics import Analytics
from scoreline_sink.schema import migrate

Store = Callable[..., None]
_FIELDS: dict[str, Any] = {
    "project": "team",
    "name": "accuracy",
    "data_type": "NUMERIC",
    "trace_id": "t-1",
    "timestamp": "2026-11-01 12:00:00",
    "received_at": "2026-11-01 12:00:01",
    "source": "API",
    "src_partition": 0,
}


@contextmanager
def storing(settings: Settings) -> Iterator[Store]:
    """A database while it is used; gives what stores a score for each mapping of columns, in one insert."""
    migrate(settings, Event())
    client = clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
    )
    stored = 0

    def store(*scores: dict[str, Any]) -> None:
        nonlocal stored
        rows: list[str] = []
        for score in scores:
            rows.append(json.dumps({**_FIELDS, "score_id": f"s-{stored}", "src_offset": stored, **score}))
            stored += 1
        client.raw_insert("scores", insert_block="\n".join(rows).encode(), fmt="JSONEachRow")

    yield store
    client.command(f"DROP DATABASE {settings.clickhouse_database} SYNC")
    client.close()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Stores a score for each mapping of columns; what one leaves out has a default."""
    with storing(settings) as store:
        yield store


@pytest.fixture
def analytics(settings: Settings) -> Iterator[Analytics]:
    """Questions to that database."""
    with Analytics(settings) as analytics:
        yield analytics

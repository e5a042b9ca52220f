"""Batches: how they are cut, and when a partition is asked for the next."""

from __future__ import annotations

import inspect
import time
from types import SimpleNamespace
from typing import cast

import pytest
from faust.transport.drivers import aiokafka as driver

from scoreline.settings import Settings
from scoreline_streams.partition import FED_S_MAX, Context, Partition
from scoreline_streams.transport import BATCH_BYTES_MAX, Batch, split
from tests.streams.scoreline_streams.test_batch import Record


def test_batch_has_what_faust_reads_of_a_record() -> None:
    """Faust turns it into a message with the list as its value."""
    records = [Record(b"k", b"v", offset) for offset in (4, 5)]
    source = inspect.getsource(driver.Consumer._to_message)
    names = {name for name in Batch.__slots__ if f"record.{name}" in source}
    assert {"offset", "timestamp", "key", "value", "headers"} <= names
    batch = Batch("scores.raw", 1, [_with_type(record) for record in records])
    assert (batch.offset, batch.topic, batch.partition, len(batch.value)) == (5, "scores.raw", 1, 2)


def test_batches_are_split_by_bytes_in_order() -> None:
    """None is larger than the bound but for a single record that is; nothing is lost."""
    third = BATCH_BYTES_MAX // 3 + 1
    sizes = [1, third, third, third, third, BATCH_BYTES_MAX + 1, 1, 1]
    records = [Record(b"k", b"x" * size, offset) for offset, size in enumerate(sizes)]
    parts = list(split(records))
    assert [record for part in parts for record in part] == records
    assert [len(part) for part in parts] == [3, 2, 1, 2]
    assert list(split([])) == []


def test_partition_is_not_fetched_again_before_its_batch_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else small batches pile up while a transaction commits; one lost on its way is not waited for forever."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    partition = Partition(0, cast(Context, SimpleNamespace(settings=Settings())))
    assert not partition.is_hungry
    partition.is_open = True
    assert partition.is_hungry
    partition.feed()
    assert not partition.is_hungry
    now += FED_S_MAX
    assert partition.is_hungry


def _with_type(record: Record) -> Record:
    object.__setattr__(record, "timestamp_type", 1)
    return record

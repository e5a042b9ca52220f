"""Files of every format, as rows."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from scoreline.commands import json_documents
from scoreline.commands.presets import PRESETS
from scoreline.commands.readers import Format, Row
from scoreline.commands.sources import EXPORT_LINE_BYTES_MAX, format_of, open_source
from scoreline.errors import MalformedRecord, SettingsError
from scoreline.rejections import Reason, Rejection


def rows_of(path: Path, preset: Any = None) -> list[Any]:
    """(number, columns or reason) of each row."""
    file_format = format_of(path)
    assert file_format is not None
    with open_source(path, file_format, preset) as source:
        return [
            (row.line, row.content.reason if isinstance(row.content, Rejection) else row.content) for row in source.rows
        ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.NDJSON.gz", "jsonl"),
        ("a.b.csv", "csv"),
        ("a.csv.gz", "csv"),
        ("a.json", "json"),
        ("a.parquet", "parquet"),
        ("a.txt", None),
    ],
)
def test_name_tells_the_format(name: str, expected: Format | None) -> None:
    """Under .gz too."""
    assert format_of(Path(name)) == expected


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    """Whatever the file is called; progress is in bytes on disk."""
    file = tmp_path / "scores.jsonl"
    file.write_bytes(gzip.compress(b'{"a":1}\n{"a":2}\n'))
    with open_source(file, "jsonl") as source:
        assert [row.content for row in source.rows] == [{"a": 1}, {"a": 2}]
        assert source.bytes_read() == file.stat().st_size


def test_truncated_gzip_gives_its_rows_before_the_error(tmp_path: Path) -> None:
    """The error names the file."""
    file = tmp_path / "scores.jsonl.gz"
    whole = gzip.compress(b"".join(b'{"a":%d}\n' % number for number in range(50_000)))
    file.write_bytes(whole[: len(whole) // 2])
    read: list[Row] = []
    with (
        open_source(file, "jsonl") as source,
        pytest.raises(MalformedRecord, match=r"scores\.jsonl\.gz cannot be read"),
    ):
        read.extend(source.rows)
    assert len(read) > 1000


def test_folder_is_no_file(tmp_path: Path) -> None:
    """What the system says is in the message."""
    with pytest.raises(MalformedRecord, match="Is a directory"), open_source(tmp_path, "csv"):
        pass


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([{"a": 1}, 2, {"a": 3}], [(1, {"a": 1}), (2, Reason.MALFORMED_JSON), (3, {"a": 3})]),
        ({"a": 1}, [(1, {"a": 1})]),
        ([], []),
    ],
)
def test_document_is_a_list_of_rows_or_one_row(tmp_path: Path, document: Any, expected: list[Any]) -> None:
    """Plain or gzip; what is no object is rejected, its neighbours are read."""
    file = tmp_path / "scores.json"
    for content in (json.dumps(document).encode(), gzip.compress(json.dumps(document).encode())):
        file.write_bytes(content)
        assert rows_of(file) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1}\n{"a":2}\n', "--format jsonl"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'[{"a":NaN}]', "NaN is not JSON"),
        (b'"\xff"', "is no JSON document"),
        (b"PK\x03\x04rest", "inspect log convert"),
        (b"[" * 100_000, "is no JSON document"),
        (gzip.compress(b"[1, 2, 3]" * 1000, mtime=0)[:-9], "cannot be read to its end"),
    ],
)
def test_document_that_is_none_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    """With the way out where there is one."""
    file = tmp_path / "scores.json"
    file.write_bytes(content)
    with pytest.raises(MalformedRecord, match=message):
        rows_of(file)


def test_document_beyond_the_bound_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is small before it is inflated; the bound itself is read."""
    file = tmp_path / "scores.json.gz"
    document = json.dumps([{"a": "x" * (1 << 20)}]).encode()
    file.write_bytes(gzip.compress(document))
    with file.open("rb") as stream, gzip.GzipFile(fileobj=stream) as inflated:
        read = json_documents.read_document(inflated, file, json.loads, len(document))
        assert len(read) == 1
    with (
        file.open("rb") as stream,
        gzip.GzipFile(fileobj=stream) as inflated,
        pytest.raises(MalformedRecord, match=r"longer than 1 MiB.* JSONL"),
    ):
        json_documents.read_document(inflated, file, json.loads, 1 << 20)


def test_progress_through_a_document_follows_its_records(tmp_path: Path) -> None:
    """Not the bytes, which are read at once."""
    file = tmp_path / "scores.json"
    file.write_text(json.dumps([{"a": n} for n in range(4)]))
    with open_source(file, "json") as source:
        assert source.unit == "record"
        assert source.bytes_read() == 0
        next(source.rows)
        assert source.bytes_read() == file.stat().st_size // 4
        list(source.rows)
        assert source.bytes_read() == file.stat().st_size


def test_records_of_an_export_are_numbered_through(tmp_path: Path) -> None:
    """In a document by record; in lines by line, as an editor shows them."""
    page = {"data": [{"id": "a", "name": "x"}, {"id": "b", "name": "x"}], "meta": {}}
    document = tmp_path / "page.json"
    document.write_text(json.dumps(page))
    assert [number for number, _ in rows_of(document, PRESETS["langfuse"])] == [1, 2]
    lines = tmp_path / "pages.jsonl"
    lines.write_text(json.dumps(page) + "\n\n" + json.dumps(page))
    assert [number for number, _ in rows_of(lines, PRESETS["langfuse"])] == [1, 1, 3, 3]


def test_long_line_of_an_export_is_read(tmp_path: Path) -> None:
    """Transcripts stand beside the scores; without a preset no record may be so long."""
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps({"sample_id": "1", "input": "x" * (EXPORT_LINE_BYTES_MAX - 100)}) + "\n")
    assert rows_of(file) == [(1, Reason.TOO_LARGE)]
    [(_, content)] = rows_of(file, PRESETS["every-eval-ever"])
    assert content["sample_id"] == "1"


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A Parquet file of several row groups with every kind of column."""
    table = pyarrow.table(
        {
            "name": ["x"] * 5,
            "value": [0.5, None, 1.0, 2.0, 3.0],
            "n": pyarrow.array([1, 2, 3, 4, 5], pyarrow.int64()),
            "at": pyarrow.array([datetime(2026, 1, 31, 12, tzinfo=UTC)] * 5, pyarrow.timestamp("ms", "UTC")),
            "local": pyarrow.array([1_000_000_001] * 5, pyarrow.timestamp("ns")),
            "day": [date(2026, 1, 31)] * 5,
            "price": [Decimal("1.50")] * 5,
            "raw": [b"ok", b"\xff", b"", b"", b""],
            "tags": [["a", "b"]] * 5,
            "metadata": pyarrow.array([[("k", "v")]] * 5, pyarrow.map_(pyarrow.string(), pyarrow.string())),
        }
    )
    file = tmp_path / "scores.parquet"
    parquet.write_table(table, file, row_group_size=2)
    return file


def test_parquet_columns_become_what_json_has(scores: Path) -> None:
    """Times with their zone, maps as objects, decimals as text; nanoseconds are cut."""
    rows = rows_of(scores)
    assert [number for number, _ in rows] == [1, 2, 3, 4, 5]
    assert rows[0][1] == {
        "name": "x",
        "value": 0.5,
        "n": 1,
        "at": "2026-01-31T12:00:00+00:00",
        "local": "1970-01-01T00:00:01",
        "day": "2026-01-31",
        "price": "1.50",
        "raw": "ok",
        "tags": ["a", "b"],
        "metadata": {"k": "v"},
    }
    assert (rows[1][1]["value"], rows[1][1]["raw"]) == (None, "/w==")


def test_parquet_is_read_a_batch_at_a_time(scores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not yet taken is not yet in memory, and progress follows the rows."""
    batches: list[int] = []
    read = parquet.ParquetFile.iter_batches

    def counted(self: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        for batch in read(self, *arguments, **{**options, "batch_size": 2}):
            batches.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    with open_source(scores, "parquet") as source:
        assert isinstance(next(source.rows), Row)
        assert batches == [2]
        assert source.bytes_read() == scores.stat().st_size // 5
        assert len(list(source.rows)) == 4


def test_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    """Named, with what is wrong."""
    file = tmp_path / "scores.parquet"
    file.write_bytes(b"name,value\n")
    with pytest.raises(MalformedRecord, match=r"scores\.parquet is no Parquet file"):
        rows_of(file)


def test_parquet_without_its_extra_says_what_to_install(scores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow is not in every install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install 'scoreline\[parquet\]'"):
        rows_of(scores)

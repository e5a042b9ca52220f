"""The connection to ClickHouse."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import ClickHouseUnavailable
from scoreline.settings import Settings
from scoreline_sink import clickhouse as module
from scoreline_sink.clickhouse import PIECE_ROWS, ClickHouse, rejected_scores_table, scores_table
from scoreline_sink.patience import patiently
from scoreline_sink.rows import REJECTED_COLUMNS, RejectedRecord, rejected_row, score_row
from tests.sinks.scoreline_sink.records import encoded, enriched, stored

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture
def cutting_proxy(settings: Settings) -> Iterator[tuple[Settings, list[dict[str, list[str]]]]]:
    """Settings that lead through a proxy which lets inserts through and cuts the connection instead of answering.

    The list collects the parameters of each insert that it saw.
    """
    seen: list[dict[str, list[str]]] = []
    server = f"http://{settings.clickhouse_host}:{settings.clickhouse_port}"

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(server + self.path, body, {"Authorization": self.headers["Authorization"]})
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
                parameters = parse_qs(urlsplit(self.path).query)
                if parameters.get("query", [""])[0].startswith("INSERT"):
                    seen.append(parameters)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name in ("Content-Type", "X-ClickHouse-Format", "X-ClickHouse-Timezone"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        yield settings.model_copy(update={"clickhouse_host": "127.0.0.1", "clickhouse_port": proxy.server_port}), seen
        proxy.shutdown()
        thread.join()


def test_an_insert_without_an_answer_is_in_doubt_at_once(
    clickhouse: ClickHouse, cutting_proxy: tuple[Settings, list[dict[str, list[str]]]]
) -> None:
    """The driver must not try again by itself: the second answer would hide that the first one is missing."""
    through_proxy, seen = cutting_proxy
    table = scores_table(ClickHouse(through_proxy))
    with pytest.raises(ClickHouseUnavailable):
        table.insert([score_row(0, 1, encoded(enriched(1)))], "topic:token")
    assert len(seen) == 1
    assert stored(clickhouse)[0] == 1


def test_what_the_guarantee_rests_on_is_said_with_every_insert(
    clickhouse: ClickHouse, cutting_proxy: tuple[Settings, list[dict[str, list[str]]]]
) -> None:
    """Whatever profile the server gives the user."""
    through_proxy, seen = cutting_proxy
    with pytest.raises(ClickHouseUnavailable):
        scores_table(ClickHouse(through_proxy)).insert([score_row(0, 1, encoded(enriched(1)))], "topic:token")
    (sent,) = seen
    assert {name: sent[name] for name in ("async_insert", "insert_deduplicate", "wait_end_of_query")} == {
        "async_insert": ["0"],
        "insert_deduplicate": ["1"],
        "wait_end_of_query": ["1"],
    }
    assert sent["insert_deduplication_token"] == ["topic:token"]
    assert sent["query_id"] == [f"{clickhouse.database}:topic:token"]


def json_rows(count: int) -> list[bytes]:
    rows = [score_row(0, number, encoded(enriched(number))) for number in range(count)]
    return [row for row in rows if row is not None]


@given(st.integers(1, 3 * PIECE_ROWS), st.sampled_from([b"", b"\n"]))
def test_the_pieces_of_a_body_are_the_body(count: int, separator: bytes) -> None:
    """Of the length that was declared, with a separator between any two rows and nowhere else."""
    rows = [b"%d" % number for number in range(count)]
    body = b"".join(module._pieces(rows, separator))
    assert body == separator.join(rows)
    assert len(body) == module._length(rows, separator)


@pytest.mark.parametrize("count", [2 * PIECE_ROWS, 2 * PIECE_ROWS + 1])
def test_a_body_of_several_pieces_arrives_whole(clickhouse: ClickHouse, count: int) -> None:
    """As lines of JSON, and as RowBinary, which has no separator."""
    scores_table(clickhouse).insert(json_rows(count), "topic:scores")
    assert stored(clickhouse) == (count, count, count)
    letters = [RejectedRecord(0, number, 0, b"key", b"value", []) for number in range(count)]
    rejected_scores_table(clickhouse, REJECTED_COLUMNS).insert(
        [rejected_row(letter) for letter in letters], "topic:letters"
    )
    assert clickhouse.query(f"SELECT count() FROM {clickhouse.database}.rejected_scores") == [(count,)]


def test_a_body_that_breaks_off_between_two_rows_is_no_insert(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrived of it is whole rows; were they stored, their token would keep the rest out for ever."""
    count, whole = PIECE_ROWS + 1, module._pieces

    def break_off(rows: Sequence[bytes], separator: bytes) -> Iterator[memoryview]:
        yield next(whole(rows, separator))
        raise ConnectionResetError

    monkeypatch.setattr(module, "_pieces", break_off)
    table = scores_table(clickhouse)
    with pytest.raises(ClickHouseUnavailable):
        table.insert(json_rows(count), "topic:token")
    monkeypatch.undo()
    # while the server still reads the first body it refuses the second one
    patiently(lambda: table.insert(json_rows(count), "topic:token"), threading.Event())
    assert stored(clickhouse) == (count, count, count)

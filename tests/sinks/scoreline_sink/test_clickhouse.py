"""The connection to ClickHouse."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from scoreline.errors import ClickHouseUnavailable
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, scores_table
from scoreline_sink.rows import score_row
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

"""What one request may take: each limit is a 4xx or 503 with a JSON error, and memory stays flat."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from random import Random

import httpx
import pytest
import zstandard

from scoreline.errors import RequestRefused
from scoreline.settings import Settings
from scoreline_gateway.bodies import parse_json
from scoreline_gateway.inflating import STEP_BYTES, inflater
from scoreline_gateway.limits import Limits
from tests.hostile import hostile_records
from tests.running_gateway import SCORE, Gateway, running_gateway

NDJSON = "application/x-ndjson"
BOMB_BYTES = 1 << 30
GROWTH_MB_MAX = 100
"""What a gateway may grow by under attack: buffers, and the allocator's reserve."""


def gzip_bomb(size: int, filling: bytes = b"\0") -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    mebibyte = filling * (1 << 20)
    return b"".join([*(packer.compress(mebibyte) for _ in range(size >> 20)), packer.flush()])


def zstd_bomb(size: int, filling: bytes = b"\0") -> bytes:
    packer = zstandard.ZstdCompressor(level=19).compressobj()
    mebibyte = filling * (1 << 20)
    return b"".join([*(packer.compress(mebibyte) for _ in range(size >> 20)), packer.flush()])


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_each_limit_is_an_error_that_names_it(settings: Settings, tmp_path: Path) -> None:
    """Wire, inflated, line, stream, items of an array and of a stream; what is just within is taken."""
    limits = {
        "gateway_body_bytes_max": 4000,
        "gateway_inflated_bytes_max": 8000,
        "gateway_stream_bytes_max": 20_000,
        "gateway_items_max": 10,
        "gateway_stream_items_max": 20,
    }
    line = json.dumps(SCORE).encode() + b"\n"
    with running_gateway(settings, tmp_path, **limits) as gateway:
        too_large = (413, "body_too_large")
        assert refused(gateway.post({**SCORE, "comment": "x" * 4000})) == too_large
        assert refused(gateway.post(gzip.compress(b" " * 8001), content_encoding="gzip")) == too_large
        assert refused(gateway.post(b"x" * 4001, content_type=NDJSON)) == too_large
        assert refused(gateway.post(gzip.compress(b"\n" * 20_001), content_encoding="gzip", content_type=NDJSON)) == (
            too_large
        )
        assert refused(gateway.post([SCORE] * 11)) == (413, "too_many_items")
        streamed = gateway.post(line * 21, content_type=NDJSON)
        assert refused(streamed) == (413, "too_many_items")
        assert "SCORELINE_GATEWAY_STREAM_ITEMS_MAX" in streamed.json()["error"]["remedy"]
        assert streamed.json()["error"]["acknowledged"] == 0
        assert gateway.records() == []
        assert gateway.post([SCORE] * 10).status_code == 202
        assert gateway.post(line * 20, content_type=NDJSON).status_code == 202
        chunked = httpx.post(
            f"{gateway.url}/v1/scores", content=iter([b" " * 2001, b" " * 2001]), headers=_headers(gateway)
        )
        assert refused(chunked) == too_large
        assert len(gateway.records()) == 30


def _headers(gateway: Gateway) -> dict[str, str]:
    return {"X-API-Key": gateway.key.secret_key, "Content-Type": "application/json"}


def test_bombs_and_rubbish_leave_memory_flat(gateway: Gateway) -> None:
    """A gibibyte in a mebibyte, in a few bytes, of lines without end, of nothing but brackets; then it works on."""
    assert gateway.post(SCORE).status_code == 202
    before = gateway.peak_mb
    bombs = {"gzip": gzip_bomb(BOMB_BYTES), "zstd": zstd_bomb(BOMB_BYTES)}
    for _ in range(3):
        for encoding, bomb in bombs.items():
            for content_type in ("application/json", NDJSON):
                answer = gateway.post(bomb, content_type=content_type, content_encoding=encoding)
                assert refused(answer) == (413, "body_too_large"), answer.text
    for encoding, bomb in (("gzip", gzip_bomb(64 << 20, b"\n")), ("zstd", zstd_bomb(64 << 20, b"\n"))):
        assert gateway.post(bomb, content_type=NDJSON, content_encoding=encoding).status_code == 202
    for body in (b"[" * 8_000_000, b'{"a":' * 1_000_000, b'[{"name":' * 500_000, b'"' + b"\\u0000" * 1_000_000 + b'"'):
        assert gateway.post(body).status_code == 400
    for encoding in ("gzip", "deflate", "zstd"):
        for body in (b"rubbish", b"\x1f\x8b\x08", bombs["gzip"][:5000], bombs["zstd"][:20]):
            answer = gateway.post(body, content_encoding=encoding)
            assert refused(answer)[0] in (400, 413), answer.text
    assert gateway.peak_mb < before + GROWTH_MB_MAX
    assert gateway.post(SCORE).status_code == 202


def test_hostile_bodies_are_all_answered_and_memory_stays_flat(gateway: Gateway) -> None:
    """Thousands of broken bodies, as one score and as lines, with headers of every kind: never a 5xx, never silence."""
    random = Random(11)
    records = list(hostile_records(11, 6000))
    types = ("application/json", NDJSON, "text/plain", "", "a/b; charset=\x7f", "application/json; charset=utf-16")
    encodings = ("", "identity", "gzip", "zstd", "deflate", "br", "gzip, gzip")
    before, taken, total = 0.0, 0, 0
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        for number in range(0, len(records), 4):
            body = random.choice((b"\n", b",", b"")).join(records[number : number + random.choice((1, 4))])
            if random.random() < 0.3:
                body = b"[" + body + b"]"
            headers = {
                "X-API-Key": gateway.key.secret_key,
                "Content-Type": random.choice(types) if random.random() < 0.2 else random.choice(types[:2]),
                "Content-Encoding": random.choice(encodings) if random.random() < 0.2 else "",
                "Idempotency-Key": random.choice(("k", "ä", "x" * 300)) if random.random() < 0.1 else "k",
            }
            answer = client.post("/v1/scores", content=body, headers={k: v.encode() for k, v in headers.items()})
            assert answer.status_code in (202, 207, 400, 413, 415, 422), (answer.text, body)
            told = answer.json()
            taken += answer.status_code in (202, 207)
            assert "error" in told or "results" in told or told["status"] == "accepted"
            total += 1
            before = gateway.peak_mb if total == 200 else before
    assert taken > total / 20
    assert gateway.peak_mb < before + GROWTH_MB_MAX


def test_more_requests_or_bytes_than_allowed_are_503_at_once(settings: Settings, tmp_path: Path) -> None:
    """No queue grows: what finds no room is told when to come back, and health still answers."""
    with running_gateway(settings, tmp_path, gateway_buffer_bytes_max=1 << 20, gateway_requests_max=1) as gateway:
        big = gateway.post({**SCORE, "comment": "x" * (1 << 20)})
        assert refused(big) == (503, "overloaded")
        assert int(big.headers["retry-after"]) >= 1
        lines = json.dumps(SCORE).encode() + b"\n"
        assert len(lines) * 25_000 > 1 << 20
        assert gateway.post(lines * 25_000, content_type=NDJSON).status_code == 202
        with httpx.stream("POST", f"{gateway.url}/v1/scores", content=_slow(gateway), headers=_headers(gateway)) as own:
            assert own.status_code == 202
        assert gateway.post(SCORE).status_code == 202


def _slow(gateway: Gateway) -> object:
    """A body during which other requests find the only place taken."""

    def chunks() -> object:
        yield b"["
        while (answer := gateway.post(SCORE)).status_code == 202:
            yield b" "
        assert refused(answer) == (503, "overloaded")
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200
        yield b"]"

    return chunks()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_inflating_gives_bounded_pieces(encoding: str) -> None:
    """A piece is what one step may give, however much is to come."""
    makers = {"gzip": gzip_bomb, "zstd": zstd_bomb, "deflate": lambda size: zlib.compress(bytes(size), 9)}
    bomb = makers[encoding](64 << 20)
    largest = total = 0
    stream = inflater(encoding)
    for piece in stream.feed(bomb):
        largest, total = max(largest, len(piece)), total + len(piece)
    stream.end()
    assert total == 64 << 20
    assert largest <= STEP_BYTES
    cut = inflater(encoding)
    assert sum(len(piece) for piece in cut.feed(bomb[:-5])) > 0
    with pytest.raises(RequestRefused, match="cut short"):
        cut.end()


def test_depth_is_bounded_for_whoever_parses() -> None:
    """Exactly `depth_max` levels of arrays and objects."""
    limits = Limits.of(Settings(gateway_depth_max=4))
    for text in (b"[[[[1]]]]", b'{"a":{"b":[{"c":1}]}}', b"[[],[],[],[],[],[1]]", b"1"):
        assert parse_json(text, limits) == json.loads(text)
    for text, code in ((b"[[[[[]]]]]", "too_deep"), (b'{"a":[[[{}]]]}', "too_deep"), (b"[", "malformed_json")):
        with pytest.raises(RequestRefused) as raised:
            parse_json(text, limits)
        assert (raised.value.status, raised.value.code) == (400, code)
    with pytest.raises(RequestRefused):
        parse_json(b"[" * 100_000 + b"]" * 100_000, limits)

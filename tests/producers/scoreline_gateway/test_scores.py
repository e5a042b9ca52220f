"""`POST /v1/scores` on a real gateway and a real broker."""

from __future__ import annotations

import gzip
import itertools
import json
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import zstandard

from scoreline.topics import declare_topics
from tests.contract.murmur2 import partition_of
from tests.running_gateway import PROJECT, SCORE, Gateway
from tests.support import headers_of, read_topic

NDJSON = "application/x-ndjson"


def raw_deflate(body: bytes) -> bytes:
    """As some clients understand `deflate`: without zlib's header."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("gzip", lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:])),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", lambda body: b"".join(map(zstandard.ZstdCompressor().compress, (body[:50], body[50:])))),
]
INVALID: list[tuple[bytes, int, str]] = [
    (b'{"name": "n"', 400, "malformed_json"),
    (b"17", 400, "malformed_json"),
    (b"", 400, "malformed_json"),
    (b"{}", 422, "missing_field"),
    (b'{"name": "n", "value": 1}', 422, "no_target"),
    (b'{"name": "n", "value": 1, "trace_id": "t", "traceId": "t"}', 422, "unknown_field"),
    (b'{"name": "n", "value": 1, "trace_id": "t", "comment": "%b"}' % (b"x" * 300_000), 413, "too_large"),
    (b'{"name": "n", "value": 1, "trace_id": "t", "project": "other"}', 422, "invalid_value"),
    (b"[{]", 400, "malformed_json"),
    (b"[1, 2", 400, "malformed_json"),
    (b"[] []", 400, "malformed_json"),
    (b"[" * 100_000, 400, "malformed_json"),
]


def test_scores_carry_the_span_of_their_request(gateway: Gateway) -> None:
    """All of an array; a request without a sampled span leaves none, also behind one on the same connection."""
    parent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    sent = {"x-api-key": gateway.key.secret_key, "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, headers=sent) as client:
        for name, header in (
            ("traced", parent),
            ("untraced", None),
            ("unsampled", parent[:-1] + b"0"),
            ("odd", b"\xe9"),
        ):
            body = json.dumps([SCORE | {"name": name}] * 2)
            headers = {} if header is None else {"traceparent": header}
            assert client.post("/v1/scores", content=body, headers=headers).status_code == 202
    carried: dict[str, set[bytes | None]] = {}
    for message in read_topic(gateway.settings, declare_topics(gateway.settings).raw.name):
        carried.setdefault(json.loads(message.value() or b"")["name"], set()).add(
            headers_of(message).get("traceparent")
        )
    assert carried == {"traced": {parent}, "untraced": {None}, "unsampled": {None}, "odd": {None}}


def test_accepted_score_is_on_the_topic_under_its_key(gateway: Gateway) -> None:
    """Project and id filled in, the rest as it was sent, in the partition of its key."""
    answer = gateway.post(SCORE)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "accepted"
    score_id = answer.json()["score_id"]
    assert uuid.UUID(score_id).version == 7
    [message] = read_topic(gateway.settings, declare_topics(gateway.settings).raw.name)
    key = f"{PROJECT}/{score_id}".encode()
    assert message.key() == key
    assert message.partition() == partition_of(key, 4)
    fields = json.loads(message.value() or b"")
    assert fields.pop("timestamp").endswith("+00:00")
    assert fields == {"project": PROJECT, "score_id": score_id, **SCORE}


def test_array_and_lines_have_their_results_in_order(gateway: Gateway) -> None:
    """Whatever the encoding: those that are right are accepted, the others say why; 207 tells that there are some."""
    items = [{**SCORE, "score_id": f"s-{number}"} for number in range(2500)]
    items[1] = {"score_id": "s-1", "name": "accuracy", "value": 1}
    lines = b"\n\n".join(json.dumps(item).encode() for item in items) + b"\r\n"
    bodies = ((json.dumps(items, indent=1).encode(), "application/json"), (lines, NDJSON))
    for (body, content_type), (encoding, pack) in itertools.product(bodies, ENCODINGS):
        answer = gateway.post(pack(body), content_type=content_type, content_encoding=encoding)
        assert answer.status_code == 207, answer.text[:500]
        told = answer.json()
        assert (told["accepted"], told["rejected"]) == (2499, 1)
        assert [result["score_id"] for result in told["results"]] == [item["score_id"] for item in items]
        assert told["results"][0] == {"score_id": "s-0", "status": "accepted"}
        assert told["results"][1].pop("remedy").startswith("Say what was judged")
        assert told["results"][1] == {
            "score_id": "s-1",
            "status": "rejected",
            "reason": "no_target",
            "detail": "one of trace_id, session_id or dataset_run_id is required",
            "field": "trace_id, session_id or dataset_run_id",
        }
    assert len(gateway.records()) == len(bodies) * len(ENCODINGS) * 2499


def test_body_that_is_no_score_is_answered_with_what_is_wrong(gateway: Gateway) -> None:
    """One score: 422, 400 where there is no JSON, 413 where it is too large; and nothing is on the topic."""
    for body, status, code in INVALID:
        answer = gateway.post(body)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert error["code"] == code
        assert error["message"]
        assert error["remedy"]
    assert gateway.records() == []


def test_empty_array_is_nothing_to_do(gateway: Gateway) -> None:
    """A batch that happens to be empty is no error."""
    answer = gateway.post([])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "rejected": 0, "results": []})


def test_project_is_the_keys_and_no_other(gateway: Gateway) -> None:
    """The body may name it, but not choose it."""
    answer = gateway.post([{**SCORE, "project": PROJECT}, {**SCORE, "project": "other"}])
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "rejected"]
    assert [record["project"] for record in gateway.records()] == [PROJECT]


def test_repeat_under_an_idempotency_key_has_the_same_ids(gateway: Gateway) -> None:
    """So that the worker drops it as a duplicate; another key, another project's key or a place is another id."""
    items: list[Any] = [SCORE, SCORE, {**SCORE, "score_id": "mine"}]

    def ids(key: str, content: Any = items, **headers: str) -> list[str]:
        answer = gateway.post(content, idempotency_key=key, **headers)
        assert answer.status_code == 202, answer.text
        return [result["score_id"] for result in answer.json().get("results", [answer.json()])]

    first = ids("run-1")
    assert len(set(first)) == 3
    assert first[2] == "mine"
    assert ids("run-1") == first
    lines = "\n".join(map(json.dumps, items)).encode()
    assert ids("run-1", lines, content_type=NDJSON) == first
    assert ids("run-1", SCORE) == first[:1]
    assert not {*first[:2]} & {*ids("run-2")}
    assert gateway.post(SCORE, idempotency_key="x" * 256).status_code == 400


def test_long_stream_is_taken_while_it_arrives(gateway: Gateway) -> None:
    """NDJSON in many batches, by chunked transfer, with lines cut anywhere."""
    body = b"\n".join(json.dumps({**SCORE, "score_id": f"s-{number}"}).encode() for number in range(20_000))

    def chunks() -> Any:
        for start in range(0, len(body), 7001):
            yield body[start : start + 7001]

    headers = {"X-API-Key": gateway.key.secret_key, "Content-Type": NDJSON}
    answer = httpx.post(f"{gateway.url}/v1/scores", content=chunks(), headers=headers, timeout=60)
    assert answer.status_code == 202, answer.text[:500]
    assert answer.json()["accepted"] == 20_000
    assert {record["score_id"] for record in gateway.records()} == {f"s-{number}" for number in range(20_000)}


def test_what_is_no_json_by_its_type_is_not_guessed(gateway: Gateway) -> None:
    """415 with what is taken; curl's default type passes."""
    assert gateway.post(SCORE, content_type="application/x-www-form-urlencoded").status_code == 202
    for headers, code in (
        ({"content_type": "text/csv"}, "unsupported_media_type"),
        ({"content_encoding": "br"}, "unsupported_encoding"),
    ):
        answer = gateway.post(SCORE, **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, code)


def test_schema_and_openapi_need_no_key(gateway: Gateway) -> None:
    """A sender can look before it has one; what does not exist is an error as every other."""
    schema = httpx.get(f"{gateway.url}/v1/schema")
    assert schema.status_code == 200
    assert schema.json()["required"] == ["name"]
    assert httpx.get(f"{gateway.url}/openapi.json").json()["paths"].keys() >= {"/v1/scores", "/v1/schema"}
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/scores", 405, "method_not_allowed"),
    ):
        answer = httpx.request(method, gateway.url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_stream_that_breaks_off_says_how_many_are_stored(gateway: Gateway) -> None:
    """A line that is too long behind a batch that was acknowledged."""
    lines = b"".join(json.dumps({**SCORE, "score_id": f"s-{number}"}).encode() + b"\n" for number in range(1000))
    answer = gateway.post(lines + b"x" * (9 << 20), content_type=NDJSON, content_encoding="identity")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert answer.json()["error"]["acknowledged"] == len(gateway.records()) == 1000

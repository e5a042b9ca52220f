"""Hostile raw records, made from the payload files by a seed: broken bytes, broken fields, broken neighbours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.payloads import invalid_payloads, valid_payloads

TOKENS = [
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"1E400", b'"nan"', b"0x1", b"1_000", b"01", b".5", b"1."),
    *(
        b"9" * 30,
        b"9007199254740993",
        b"-9223372036854775809",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b'"',
        b"\\",
        b",",
    ),
    *(b"\\u0000", b"\\ud800", b"\\udfff\\ud800", b"\\u202e", b"\\x41", b"\x00", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"),
    *(b"\xe2\x80\xae", b"\xe2\x80\x8b", b"\xef\xbb\xbf", b"\n", b"\r", b"\t", b" :", b'" : "', b"/*x*/", b"//x\n"),
    *(
        b'"score_id":"s-1",',
        b',"score_id":"other"',
        b',"value":1',
        b',"status":"failed"',
        b',"error":"e"',
        b'"metadata":{',
    ),
    *(
        b"[" * 200,
        b'{"a":' * 200,
        b"[" * 2000,
        b'{"a":' * 2000,
        b"]" * 200,
        b"}" * 200,
        b"a" * 300,
        b"\xf0\x9f\x8e\xaf" * 60,
    ),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -0.0, 1, 0.5, -1, 2**53, 2**53 + 1, -(2**63), 2**63, 2**64, 10**30, 1.7e308, 5e-324),
    *(
        "",
        " ",
        "nan",
        "inf",
        "1e999",
        "1e-999",
        "0.5",
        "1,5",
        "١",
        "true",
        "True",
        "yes",
        "0" * 400,
        "a" * 201,
        "a" * 10_001,
    ),
    *(
        "a\x00b",
        "a\nb",
        "a\u202eb",
        "a\u200bb",
        "\ufeffa",
        "\ud800",
        "ſ",
        "é",
        "e\u0301",
        "🎯" * 200,
        "a/b",
        "/",
        "../x",
    ),
    *(
        "2026-01-31T12:00:00",
        "2026-01-31",
        "1769860800",
        "1769860800000",
        1769860800,
        1769860800000,
        -1,
        "0001-01-01T00:00:00Z",
    ),
    *("2026-01-31T12:00:00.1234567891Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00+24:00", "9999-12-31T23:59:59Z"),
    *("2016-12-31T23:59:60Z", "1999-12-31T23:59:59Z", "2026-02-02T12:00:01Z", "2026-01-31t12:00:00z"),
    *([], {}, [1], {"a": 1}, {"": ""}, {"name": "judge", "x": 1}, {"name": 1}, [[[[]]]], {"a": {"a": {"a": None}}}),
    *("failed", "ok", "FAILED", "NUMERIC", "numeric", "EVAL", "1", 2, "default", "Default", "a" * 64),
]
FIELDS = (
    *(
        "score_id",
        "project",
        "name",
        "value",
        "status",
        "error",
        "data_type",
        "trace_id",
        "observation_id",
        "session_id",
    ),
    *("dataset_run_id", "comment", "metadata", "config_id", "timestamp", "source", "evaluator", "author", "service"),
    *("environment", "release", "schema_version", "unknown", "Name", "score_id ", "\u200bname"),
)


def hostile_records(seed: int, count: int) -> Iterator[bytes]:
    """`count` values of raw records, the same for the same seed. Some are valid by chance."""
    random = Random(seed)
    bases = [payload.value for payload in [*valid_payloads(), *invalid_payloads()] if len(payload.value) < 4000]
    whole = [json.loads(payload.value) for payload in valid_payloads()]
    for _ in range(count):
        if random.random() < 0.5:
            fields = dict(random.choice(whole))
            for _ in range(random.randint(1, 3)):
                _spoil_field(random, fields)
            yield json.dumps(fields, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
        else:
            value = random.choice(bases)
            for _ in range(random.randint(1, 3)):
                value = random.choice(_SPOILERS)(random, value)
            if random.random() < 0.1:
                value += random.choice(bases)
            yield value


def _spoil_field(random: Random, fields: dict[str, Any]) -> None:
    field = random.choice(FIELDS)
    if random.random() < 0.2:
        fields.pop(field, None)
    elif random.random() < 0.2:
        fields["metadata"] = {str(random.choice(VALUES)): random.choice(VALUES)}
    else:
        fields[field] = random.choice(VALUES)


def _insert(random: Random, value: bytes) -> bytes:
    at = random.randint(0, len(value))
    return value[:at] + random.choice(TOKENS) + value[at:]


def _replace(random: Random, value: bytes) -> bytes:
    start, end = sorted((random.randint(0, len(value)), random.randint(0, len(value))))
    return value[:start] + random.choice(TOKENS) + value[min(end, start + 20) :]


def _delete(random: Random, value: bytes) -> bytes:
    start = random.randint(0, len(value))
    return value[:start] + value[start + random.randint(1, 10) :]


def _repeat(random: Random, value: bytes) -> bytes:
    start = random.randint(0, len(value))
    end = start + random.randint(1, 40)
    return value[:end] + value[start:end] + value[end:]


def _flip(random: Random, value: bytes) -> bytes:
    if not value:
        return value
    at = random.randrange(len(value))
    return value[:at] + bytes((value[at] ^ (1 << random.randrange(8)),)) + value[at + 1 :]


_SPOILERS: list[Callable[[Random, bytes], bytes]] = [_insert, _replace, _delete, _repeat, _flip]

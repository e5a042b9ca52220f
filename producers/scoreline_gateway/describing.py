"""The gateway's OpenAPI document, and the schema of a score as it takes one."""

from __future__ import annotations

import importlib.resources
from functools import cache
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi

from scoreline.rejections import Reason
from scoreline.web.answers import json_response
from scoreline.web.observing import PATHS

router = APIRouter()

_OPEN = (*PATHS, "/v1/schema")
"""What needs no key."""
_ERRORS = {
    "400": "The body is no JSON, is nested too deep, or its encoding is broken.",
    "401": "No API key, or one that is not known here, or was revoked.",
    "403": "The key lacks the scope.",
    "408": "The body comes too slowly.",
    "413": "The body, or one score, is too large, or holds too many scores.",
    "415": "Content-Type or Content-Encoding is not taken.",
    "422": "The score breaks a rule of the contract.",
    "429": "The key sends more than its rate; come back after Retry-After.",
    "503": "The broker has not acknowledged everything in time, or there is no room now; come back after Retry-After.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}


@cache
def score_schema() -> dict[str, Any]:
    """JSON Schema of one score in a request: the raw record's, whose id and project the gateway fills in."""
    return orjson.loads(importlib.resources.files("scoreline_gateway").joinpath("score.schema.json").read_bytes())


@router.get("/v1/schema", summary="The schema of a score", tags=["scores"])
async def schema() -> Response:
    """JSON Schema (draft-07) of one score as `POST /v1/scores` takes it."""
    return json_response(score_schema())


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document say what no signature says: bodies, errors, keys."""

    @cache
    def openapi() -> dict[str, Any]:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=_DESCRIPTION, routes=app.routes
        )
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_schemas())
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "The secret key."},
            "basic": {"type": "http", "scheme": "basic", "description": "Public key and secret key."},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The secret key."},
        }
        for path, operations in document["paths"].items():
            if path in _OPEN:
                continue
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"basic": []}, {"apiKey": []}]
                for status, meaning in _ERRORS.items():
                    operation["responses"].setdefault(status, _error(status, meaning))
        return document

    app.openapi = openapi


_DESCRIPTION = """\
Scores over HTTP. A score is answered `accepted` when the broker has acknowledged it, and never before.

Every answer above 299 is `{"error": {"code", "message", "remedy"}}`. A rejected score's code is a reason of the
contract, the same that the pipeline gives.

A request may be sent again: with ids of your own, or under the same `Idempotency-Key`, what arrived before is not
stored twice.
"""

_ONE = {"name": "accuracy", "value": 0.92, "trace_id": "abcdef1234567890abcdef1234567890"}
_OTHER = {"score_id": "nightly/42/resolved", "name": "resolved", "value": True, "dataset_run_id": "nightly-42"}
_ACCEPTED = {"score_id": "nightly/42/resolved", "status": "accepted"}
_REJECTED = {
    "score_id": "nightly/42/helpful",
    "status": "rejected",
    "reason": "no_target",
    "detail": "one of trace_id, session_id or dataset_run_id is required",
    "field": "trace_id, session_id or dataset_run_id",
    "remedy": "Say what was judged: a trace_id, a session_id or a dataset_run_id.",
}

CREATE_SCORES: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "Makes a repeat of this request harmless: scores without an id get one that follows from "
            "the key and their place in the request.",
        }
    ],
    "requestBody": {
        "required": True,
        "description": "May be compressed: Content-Encoding gzip, deflate or zstd.",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Score"},
                        {
                            "type": "array",
                            "items": {"description": "A `Score`. Each is judged by itself and has its own result."},
                        },
                    ]
                },
                "examples": {
                    "one": {"summary": "One score", "value": _ONE},
                    "several": {"summary": "Several", "value": [_ONE, _OTHER]},
                    "failed": {
                        "summary": "The judge failed",
                        "value": {"name": "accuracy", "status": "failed", "error": "timed out", "session_id": "s-7"},
                    },
                },
            },
            "application/x-ndjson": {
                "schema": {"description": "A `Score` on each line, judged by itself, with its own result."},
                "example": '{"name": "accuracy", "value": 0.92, "trace_id": "t-1"}\n'
                '{"name": "accuracy", "value": 0.7, "trace_id": "t-2"}\n',
            },
        },
    },
    "responses": {
        "202": {
            "description": "The broker has all of it.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [{"$ref": "#/components/schemas/Accepted"}, {"$ref": "#/components/schemas/Results"}]
                    },
                    "examples": {
                        "one": {"value": _ACCEPTED},
                        "several": {"value": {"accepted": 1, "rejected": 0, "results": [_ACCEPTED]}},
                    },
                }
            },
        },
        "207": {
            "description": "An array or NDJSON of which some or all were rejected; the broker has the others.",
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Results"},
                    "example": {"accepted": 1, "rejected": 1, "results": [_ACCEPTED, _REJECTED]},
                }
            },
        },
    },
}
"""What is said of `POST /v1/scores`."""


def _error(status: str, meaning: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {**said, "headers": _RETRY_AFTER} if status in ("429", "503") else said


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    score = {name: value for name, value in score_schema().items() if name != "$schema"}
    accepted = {
        "type": "object",
        "properties": {"score_id": text, "status": {"const": "accepted"}},
        "required": ["score_id", "status"],
    }
    rejected = {
        "type": "object",
        "properties": {
            "score_id": {"type": ["string", "null"], "description": "Null where it came without one."},
            "status": {"const": "rejected"},
            "reason": {"enum": [reason.value for reason in Reason]},
            "detail": text,
            "field": {**text, "description": "Where one field is wrong."},
            "remedy": text,
        },
        "required": ["score_id", "status", "reason", "detail", "remedy"],
    }
    count = {"type": "integer", "minimum": 0}
    results = {
        "type": "object",
        "properties": {
            "accepted": count,
            "rejected": count,
            "results": {"type": "array", "items": {"anyOf": [accepted, rejected]}, "description": "In order."},
        },
        "required": ["accepted", "rejected", "results"],
    }
    error = {
        "type": "object",
        "properties": {
            "code": {**text, "description": "For programs; a reason of the contract where a score was rejected."},
            "message": text,
            "remedy": text,
            "field": text,
            "score_id": text,
            "acknowledged": {**count, "description": "Scores of this NDJSON body that the broker has already."},
        },
        "required": ["code", "message"],
    }
    return {
        "Score": score,
        "Accepted": accepted,
        "Results": results,
        "Error": {"type": "object", "properties": {"error": error}, "required": ["error"]},
    }

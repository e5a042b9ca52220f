"""The OpenAPI document: the rows of each answer, the errors, the keys."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from scoreline.web.observing import PATHS
from scoreline_analytics.agreement import COLUMNS as AGREEMENT
from scoreline_analytics.api.answering import MEDIA
from scoreline_analytics.change import COLUMNS as CHANGED
from scoreline_analytics.compare import COLUMNS as COMPARED
from scoreline_analytics.figures import FIGURES
from scoreline_analytics.rejections import COLUMNS as REJECTED
from scoreline_analytics.scores import COLUMNS as SCORE_COLUMNS

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_NUMBER: Schema = {"type": ["number", "null"]}
_FINITE: Schema = {"type": "number"}
_TRUTH: Schema = {"type": "boolean"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}

_TYPES: dict[str, Schema] = {
    **dict.fromkeys(("timestamp", "received_at", "last", "time"), _MOMENT),
    **dict.fromkeys(("n", "failed", "missing", "config_version", "raw_partition", "raw_offset", "handled"), _COUNT),
    **dict.fromkeys(("n_before", "failed_before", "n_a", "n_b", "failed_a", "failed_b", "pairs"), _COUNT),
    **dict.fromkeys(("missing_a", "missing_b", "unpaired_a", "unpaired_b"), _COUNT),
    **dict.fromkeys(("value", "normalized", "mean", "mean_low", "mean_high", "true_rate", "sd", "min", "max"), _NUMBER),
    **dict.fromkeys(("mean_before", "mean_a", "mean_b", "difference", "low", "high", "p", "p_holm", "p_bh"), _NUMBER),
    **dict.fromkeys(("effect_size", "hedges_g", "share", "pearson", "pearson_low", "pearson_high"), _NUMBER),
    **dict.fromkeys(("spearman", "mae", "rmse", "bias", "same", "same_low", "same_high", "kappa"), _NUMBER),
    **dict.fromkeys(("data_type", "method", "effect", "field", "label", "key"), _MAYBE_TEXT),
    **dict.fromkeys(("metadata", "lookups"), _TEXTS),
    "value_bytes": _MAYBE_COUNT,
    "categories": {"type": "array", "items": {"$ref": "#/components/schemas/Share"}},
}
_BESIDE: dict[str, Schema] = {
    "is_complete": {**_TRUTH, "description": "Whether these are all groups; else the limit left some out."},
    "pair": {**_MAYBE_TEXT, "description": "The dimension that names the item; null: not paired."},
    "rule": {**_TEXT, "description": "How scores were paired."},
    "level": {"type": "number"},
    "now": {"$ref": "#/components/schemas/Period"},
    "before": {"$ref": "#/components/schemas/Period"},
    "groups": {"type": "array", "items": {"$ref": "#/components/schemas/BarGroup"}},
}


def _row(columns: tuple[str, ...], description: str, **types: Schema) -> Schema:
    """A row; what has no type of its own is a text, and what stands beside the columns are dimensions, quantiles."""
    properties = {column: types.get(column, _TYPES.get(column, _TEXT)) for column in columns}
    return {"type": "object", "description": description, "properties": properties, "required": list(columns)}


_GROUPED = "A group: its dimensions as texts, and "
_ROWS: dict[str, Schema] = {
    "Name": _row(("project", "name", "data_type", "n", "failed", "last"), "A score name of one type."),
    "Dimension": _row(("dimension", "n"), "What can be grouped and filtered by.", n=_MAYBE_COUNT),
    "Value": _row(("n",), "A value, under the name of its dimension, and how many scores have it."),
    "Summary": _row((*FIGURES, "categories"), _GROUPED + "its figures; quantiles are p50, p90 …"),
    "Point": _row(("time", *FIGURES), _GROUPED + "its figures in the bucket that begins then; quantiles are p50 …"),
    "Bar": _row(("label", "low", "high", "n", "share"), _GROUPED + "a bin (low, high) or a category (label)."),
    "Changed": _row(CHANGED, _GROUPED + "its figures before and now; difference is now less before."),
    "Compared": _row(COMPARED, "A score name on both sides; difference is b less a."),
    "Agreement": _row(AGREEMENT, "Two sides on the same items."),
    "Score": _row(
        SCORE_COLUMNS, "A whole score; absent is the empty text, of a number null.", data_type=_TEXT, label=_TEXT
    ),
    "Rejected": _row(REJECTED, "A reason and a service, with the latest record.", value=_MAYBE_TEXT),
}


def rows_of(row: str, *beside: str) -> Responses:
    """What is said of an answer of rows."""
    schema: Schema = {
        "type": "object",
        "properties": {**{name: _BESIDE[name] for name in beside}, "rows": _array(row)},
        "required": [*beside, "rows"],
    }
    content: dict[str, Any] = {MEDIA["json"]: {"schema": schema}}
    content |= {media: {"schema": _binary(form)} for form, media in MEDIA.items() if form != "json"}
    return {200: {"description": "The rows.", "content": content}}


def _array(row: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}}


def _binary(form: str) -> Schema:
    return {"description": f"The same rows as {form}."}


EXPORT: Responses = {
    200: {
        "description": "The scores, of any number.",
        "content": {
            MEDIA["json"]: {"schema": _array("Score")},
            **{media: {"schema": _binary(form)} for form, media in MEDIA.items() if form != "json"},
        },
    }
}
SCORE: Responses = {
    200: {
        "description": "The score.",
        "content": {MEDIA["json"]: {"schema": {"$ref": "#/components/schemas/Score"}}},
    }
}
_LATENCY: Schema = {
    "type": "object",
    "description": "Seconds; null: nothing was measured.",
    "properties": dict.fromkeys(("p50", "p90", "p99"), _NUMBER),
    "required": ["p50", "p90", "p99"],
}
_HEALTH: Schema = {
    "type": "object",
    "properties": {
        "since": _MOMENT,
        "until": _MOMENT,
        "scores": {**_COUNT, "description": "Stored in this time."},
        "scores_per_s": {"type": "number"},
        "rejected": _COUNT,
        "late": {
            **_COUNT,
            "description": "Judged more than an hour before they arrived; in no latency since judgement.",
        },
        "latency_s": {
            "type": "object",
            "description": "to_kafka: from judgement to broker; to_row: from there to ClickHouse; to_query: both.",
            "properties": dict.fromkeys(("to_kafka", "to_row", "to_query"), _LATENCY),
            "required": ["to_kafka", "to_row", "to_query"],
        },
        "lag": {
            "type": "object",
            "description": "Records still to be read, of all projects; null: Kafka does not tell.",
            "properties": {"worker": _MAYBE_COUNT, "sink": _MAYBE_COUNT},
            "required": ["worker", "sink"],
        },
    },
    "required": ["since", "until", "scores", "scores_per_s", "rejected", "late", "latency_s", "lag"],
}
_HEALTH_EXAMPLE = {
    "since": "2026-11-23T12:00:00Z",
    "until": "2026-11-23T12:05:00Z",
    "scores": 12417,
    "scores_per_s": 41.39,
    "rejected": 28,
    "late": 0,
    "latency_s": {
        "to_kafka": {"p50": 0.021, "p90": 0.2, "p99": 0.66},
        "to_row": {"p50": 0.22, "p90": 0.41, "p99": 0.52},
        "to_query": {"p50": 0.244, "p90": 0.6, "p99": 0.901},
    },
    "lag": {"worker": 0, "sink": 12},
}
HEALTH: Responses = {
    200: {
        "description": "How the pipeline is.",
        "content": {MEDIA["json"]: {"schema": {"$ref": "#/components/schemas/Health"}, "example": _HEALTH_EXAMPLE}},
    }
}

_EXAMPLES: dict[str, Any] = {
    "n": 2993,
    "failed": 4,
    "missing": 0,
    "data_type": "NUMERIC",
    "mean": 0.8039,
    "mean_low": 0.79,
    "mean_high": 0.81,
    "sd": 0.2712,
    "min": 0.0,
    "max": 1.0,
    "true_rate": None,
    "name": "accuracy",
    "project": "checkout",
    "score_id": "nightly/42/accuracy",
    "value": 0.92,
    "dimension": "metadata.model",
    "reason": "unknown_config",
    "service": "web",
    "low": 0.75,
    "high": 0.8,
    "share": 0.12,
    "method": "welch_t",
    "metadata": {"model": "m-7"},
    "difference": 0.02,
    "p": 0.03,
}
_OF_REJECTED = {"value": '{"score_id": "nightly/42/accuracy", …', "letter": "2/77", "field": "config_id"}


def _example(row: str, beside: tuple[str, ...]) -> dict[str, Any]:
    """One row that fits its schema."""
    schema = _ROWS[row]
    examples = {**_EXAMPLES, **(_OF_REJECTED if row == "Rejected" else {})}
    cells = {name: examples.get(name, _empty(type_)) for name, type_ in schema["properties"].items()}
    period = {"since": "2026-11-16T00:00:00Z", "until": "2026-11-23T00:00:00Z"}
    others: dict[str, Any] = {
        "is_complete": True,
        "pair": "metadata.item",
        "rule": "paired by metadata.item",
        "level": 0.95,
        "now": period,
        "before": {"since": "2026-11-09T00:00:00Z", "until": "2026-11-16T00:00:00Z"},
        "groups": [{"dimensions": {"name": "accuracy"}, "n": 2993, "failed": 4, "below": 0, "above": 0}],
    }
    return {**{name: others[name] for name in beside}, "rows": [cells]}


def _empty(type_: Schema) -> Any:
    kind: str | list[str] = type_["type"]
    if isinstance(kind, list):
        return None
    empty: dict[str, Any] = {"string": "", "integer": 0, "object": {}, "array": []}
    return "2026-11-23T12:00:00Z" if type_ is _MOMENT else empty[kind]


_SCHEMAS: dict[str, Schema] = {
    **_ROWS,
    "Health": _HEALTH,
    "Share": {
        "type": "object",
        "description": "A category, its share with Wilson's interval.",
        "properties": {"label": _TEXT, "n": _COUNT, "share": _FINITE, "low": _FINITE, "high": _FINITE},
        "required": ["label", "n", "share", "low", "high"],
    },
    "Period": {"type": "object", "properties": {"since": _MOMENT, "until": _MOMENT}, "required": ["since", "until"]},
    "BarGroup": {
        "type": "object",
        "description": "A group, and how many of its numbers lie outside the range.",
        "properties": {"dimensions": _TEXTS, **dict.fromkeys(("n", "failed", "below", "above"), _COUNT)},
        "required": ["dimensions", "n", "failed", "below", "above"],
    },
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {"code": {**_TEXT, "description": "For programs."}, "message": _TEXT, "remedy": _TEXT},
                "required": ["code", "message"],
            }
        },
        "required": ["error"],
    },
}
_OPEN = PATHS
_ERRORS = {
    "400": "The question cannot be asked, or asks for what does not exist; the message lists what does.",
    "401": "No API key, or one that is not known here, or was revoked.",
    "403": "The key lacks the scope `read`.",
    "404": "There is no such score or trace.",
    "431": "The address and the headers are longer than 64 KiB together.",
    "503": "ClickHouse does not answer, too many questions are asked, or the keys are not known yet; come back after "
    "Retry-After.",
    "504": "The answer takes too long: ask for less.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
_DESCRIPTION = """\
Questions about stored scores. A key with the scope `read` shows its project, and nothing else.

Every answer above 299 is `{"error": {"code", "message", "remedy"}}`. A parameter that does not exist is refused.
An answer of rows is JSON, or what `format` or Accept says: jsonl, csv, parquet, arrow. Moments are RFC 3339.
"""


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document say what no signature says: rows, errors, keys."""

    @cache
    def openapi() -> dict[str, Any]:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=_DESCRIPTION, routes=app.routes
        )
        components = document.setdefault("components", {})
        components["schemas"] = _SCHEMAS
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "The secret key."},
            "basic": {"type": "http", "scheme": "basic", "description": "Public key and secret key."},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The secret key."},
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                _show_example(operation["responses"]["200"])
                if path not in _OPEN:
                    operation["security"] = [{"bearer": []}, {"basic": []}, {"apiKey": []}]
                    for status, meaning in _ERRORS.items():
                        operation["responses"].setdefault(status, _error(status, meaning))
        return document

    app.openapi = openapi


def _show_example(response: dict[str, Any]) -> None:
    """Put an example beside a schema of rows; FastAPI would drop the nulls in it."""
    content = response.get("content", {}).get(MEDIA["json"], {})
    properties = content.get("schema", {}).get("properties", {})
    if "rows" in properties:
        row = properties["rows"]["items"]["$ref"].rpartition("/")[2]
        content["example"] = _example(row, tuple(name for name in properties if name != "rows"))


def _error(status: str, meaning: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": meaning,
        "content": {MEDIA["json"]: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {**said, "headers": _RETRY_AFTER} if status == "503" else said

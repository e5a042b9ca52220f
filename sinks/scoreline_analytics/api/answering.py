"""Answers: rows in the form that was asked for, and what went wrong as JSON."""

from __future__ import annotations

import io
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from scoreline.errors import (
    ClickHouseUnavailable,
    QueryError,
    RequestRefused,
    SchemaError,
    ScorelineError,
    SettingsError,
)
from scoreline.web.answers import error_response
from scoreline_analytics.api.asking import Format
from scoreline_analytics.api.desk import timed_out
from scoreline_analytics.formats import to_json, write
from scoreline_analytics.results import Result

UNAVAILABLE_RETRY_S = 5
MEDIA: dict[Format, str] = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
_TIMEOUTS = {159, 160}
"""ClickHouse's TIMEOUT_EXCEEDED and TOO_SLOW."""


def format_of(request: Request, said: Format | None, default: Format = "json") -> Format:
    """The form that was said, else the first of Accept that there is."""
    if said is not None:
        return said
    for part in request.headers.get("accept", "").split(","):
        wanted = part.partition(";")[0].strip().lower()
        for form, media in MEDIA.items():
            if media == wanted:
                return form
    return default


def rows_response(answer: Result, form: Format, **more: Any) -> Response:
    """The answer's rows; as JSON `{"rows": […]}` with `more` beside them."""
    if form == "json":
        return object_response({**more, "rows": answer.rows()})
    file = io.BytesIO()
    if form == "arrow":
        write_arrow(answer, file)
    else:
        write(answer, file, form)
    return Response(file.getvalue(), media_type=MEDIA[form])


def object_response(value: Any, status: int = 200) -> Response:
    """Anything as JSON, moments in RFC 3339."""
    return Response(to_json(value), status, media_type=MEDIA["json"])


def write_arrow(answer: Result, file: io.BytesIO) -> None:
    """The rows as an Arrow stream."""
    import pyarrow

    arrow: Any = pyarrow  # its types are partly unknown
    table = answer.to_arrow()
    with arrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def refusal_of(error: ScorelineError) -> RequestRefused:
    """The answer to a question that could not be answered."""
    if isinstance(error, RequestRefused):
        return error
    if isinstance(error, QueryError):
        if getattr(error.__cause__, "code", None) in _TIMEOUTS:
            return timed_out(str(error))
        return RequestRefused(400, "bad_question", str(error))
    if isinstance(error, ClickHouseUnavailable):
        return RequestRefused(503, "unavailable", str(error), "Ask again after Retry-After.", UNAVAILABLE_RETRY_S)
    return RequestRefused(503, "not_set_up", str(error), "An operator has to mend this.", 60)


def add_question_errors(app: FastAPI) -> None:
    """Let every error of a question be answered as JSON."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ScorelineError)
        return error_response(refusal_of(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "query")
        message = f"{where}: {first['msg']}" if where else first["msg"]
        return error_response(RequestRefused(400, "bad_question", message))

    for kind in (QueryError, ClickHouseUnavailable, SchemaError, SettingsError):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, invalid)

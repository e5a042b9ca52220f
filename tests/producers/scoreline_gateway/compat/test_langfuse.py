"""The real `langfuse` SDK, unmodified, against a real gateway; and the API that older ones use."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from langfuse import Langfuse
from langfuse.api import AccessDeniedError, Error, NotFoundError, UnauthorizedError
from langfuse.api.commons import ConfigCategory
from langfuse.api.core import ApiError
from langfuse.api.scores import CreateScoreBatchResponse, CreateScoreBatchResults, CreateScoreRequest
from opentelemetry.sdk.trace import TracerProvider

from scoreline.keys import NewKey, Scope
from tests.producers.scoreline_gateway.compat.gateways import Gateway, Spoiler
from tests.running_pipeline import Pipeline

Connect = Callable[..., Langfuse]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients as a service does: a base URL, two keys, a tracer. They are shut down at the end."""
    clients: list[tuple[Langfuse, TracerProvider, httpx.Client]] = []

    def connect(url: str, key: NewKey, **options: Any) -> Langfuse:
        tracing, client = TracerProvider(), httpx.Client()
        made = Langfuse(
            base_url=url,
            public_key=key.entry.public_key,
            secret_key=key.secret_key,
            environment="staging",
            tracer_provider=tracing,
            httpx_client=client,
            **options,
        )
        clients.append((made, tracing, client))
        return made

    yield connect
    for made, tracing, client in clients:
        made.shutdown()
        tracing.shutdown()
        client.close()


def test_what_the_sdk_sends_is_in_clickhouse(
    gateway_of_pipeline: Gateway, pipeline: Pipeline, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Every parameter of create_score and the helpers for the current span, field by field; and no error is logged."""
    sdk = connect(gateway_of_pipeline.url, gateway_of_pipeline.key())
    assert sdk.auth_check()
    config = sdk.api.score_configs.create(name="quality", data_type="NUMERIC", min_value=0, max_value=10)
    at = datetime(2026, 9, 21, 13, 0, 0, 123456, tzinfo=UTC)
    sdk.create_score(
        name="quality",
        value=7.5,
        session_id="session",
        dataset_run_id="run",
        trace_id="ab" * 16,
        observation_id="cd" * 8,
        score_id="mine",
        data_type="NUMERIC",
        comment="größe ☃",
        config_id=config.id,
        metadata={"model": "m", "n": 1},
        timestamp=at,
    )
    sdk.create_score(name="grounded", value=True, data_type="BOOLEAN", session_id="s", metadata=["a", "b"])
    sdk.create_score(name="remark", value="could be shorter", data_type="TEXT", session_id="s", environment="other")
    with sdk.start_as_current_observation(name="work") as span:
        sdk.score_current_span(name="tone", value="kind", data_type="CATEGORICAL", comment="c", metadata={"k": "v"})
        sdk.score_current_trace(name="total", value=3)
        span.score(name="of-span", value=0.25, score_id="span-score")
        trace_id, span_id = span.trace_id, span.id
    sdk.flush()
    pipeline.drain()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    columns = (
        "score_id, project, name, data_type, value, label, normalized, config_id, config_version, trace_id, "
        "observation_id, session_id, dataset_run_id, comment, metadata, timestamp, source, environment"
    )
    rows = {row[2]: row for row in pipeline.ask(f"SELECT {columns} FROM scores")}
    assert rows["quality"] == (
        "mine",
        "checkout",
        "quality",
        "NUMERIC",
        7.5,
        "",
        0.75,
        config.id,
        1,
        "ab" * 16,
        "cd" * 8,
        "session",
        "run",
        "größe ☃",
        {"model": "m", "n": "1"},
        at.replace(tzinfo=None),
        "API",
        "staging",
    )
    assert rows["grounded"][3:6] == ("BOOLEAN", 1.0, "true")
    assert rows["grounded"][14] == {"value": '["a","b"]'}
    assert (rows["remark"][3:6], rows["remark"][17]) == (("CATEGORICAL", None, "could be shorter"), "other")
    assert rows["tone"][3:6] == ("CATEGORICAL", None, "kind")
    assert (rows["tone"][9:11], rows["tone"][14]) == ((trace_id, span_id), {"k": "v"})
    assert (rows["total"][3:5], rows["total"][9:11]) == (("NUMERIC", 3.0), (trace_id, ""))
    assert (rows["of-span"][0], rows["of-span"][9:11]) == ("span-score", (trace_id, span_id))
    assert len(rows) == 6
    pipeline.run("reconcile")


@pytest.mark.parametrize(
    "faults", [["refuse"], ["limit"], ["lose"], ["drop"], ["lose", "refuse"]], ids=lambda faults: "-".join(faults)
)
def test_batch_whose_answer_was_bad_is_sent_again(
    gateway: Gateway, spoiler: Spoiler, connect: Connect, faults: list[str]
) -> None:
    """Its ids stay the same, so that sent twice they are one score each."""
    sdk = connect(spoiler.url, gateway.key())
    spoiler.faults = list(faults)
    for number in range(5):
        sdk.create_score(name="n", value=number, trace_id="t")
    sdk.flush()
    records = gateway.raw()
    assert spoiler.passed == 1 + sum(fault in ("lose", "drop") for fault in faults)
    assert len(records) == 5 * spoiler.passed
    assert len({record["score_id"] for record in records}) == 5


def test_batch_tells_what_was_rejected(gateway: Gateway, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The good ones are taken; the SDK logs our reason for the others."""
    sdk = connect(gateway.url, gateway.key())
    sdk.create_score(name="n", value=1, trace_id="t")
    sdk.create_score(name="n", value=2, score_id="lost")
    sdk.create_score(name="n", value="x", trace_id="t", data_type="CORRECTION")
    sdk.flush()
    assert "accepted 1 and rejected 2 of 3 scores" in caplog.text
    assert "score lost: no_target: one of trace_id, session_id or dataset_run_id is required" in caplog.text
    assert "found 'CORRECTION'" in caplog.text
    assert [record["value"] for record in gateway.raw()] == [1]


def test_batch_has_the_answers_of_its_api(gateway: Gateway, connect: Connect) -> None:
    """202 and 207 as the SDK's own models."""
    scores = connect(gateway.url, gateway.key()).api.scores
    good = CreateScoreRequest(name="n", value=1, trace_id="t")
    assert scores.create(request=[good, good]) == CreateScoreBatchResponse(message="Accepted")
    mixed = scores.create(request=[good, CreateScoreRequest(name="n", value=1)])
    assert isinstance(mixed, CreateScoreBatchResults)
    assert (mixed.accepted, mixed.rejected, len(mixed.errors)) == (1, 1, 1)


def test_score_configs_are_made_listed_read_and_changed(gateway: Gateway, connect: Connect) -> None:
    """Through the SDK's own client, as its own models."""
    configs = connect(gateway.url, gateway.key()).api.score_configs
    categories = [ConfigCategory(label="bad", value=0), ConfigCategory(label="good", value=1)]
    made = configs.create(name="tone", data_type="CATEGORICAL", categories=categories, description="d")
    assert (made.name, made.data_type, made.categories, made.description) == ("tone", "CATEGORICAL", categories, "d")
    assert (made.project_id, made.is_archived) == (gateway.project, False)
    again = configs.create(name="tone", data_type="CATEGORICAL", categories=categories, description="d")
    assert again.id == made.id
    changed = configs.update(made.id, is_archived=True, name="mood")
    assert (changed.name, changed.is_archived, changed.categories) == ("mood", True, categories)
    assert configs.get_by_id(made.id) == changed
    listed = configs.get()
    assert (listed.data, listed.meta.total_items, listed.meta.total_pages) == ([changed], 1, 1)


def test_errors_are_the_sdks_own(gateway: Gateway, connect: Connect) -> None:
    """Its exception types, with our reason in the body."""
    made = gateway.key(Scope.WRITE)
    sdk = connect(gateway.url, made)
    with pytest.raises(Error, match="expected one JSON object"):
        sdk.api.scores.create(request="x")  # type: ignore[arg-type]
    with pytest.raises(AccessDeniedError, match="scoreline keys create --scope configs"):
        sdk.api.score_configs.get()
    with pytest.raises(NotFoundError, match="no config 'none'"):
        connect(gateway.url, gateway.key()).api.score_configs.get_by_id("none")
    with pytest.raises(ApiError, match="not supported by scoreline") as unsupported:
        sdk.api.scores.delete("s", request_options={"max_retries": 0})
    assert unsupported.value.status_code == 501
    with pytest.raises(ApiError, match="not supported by scoreline"):
        sdk.api.scores.get_many(request_options={"max_retries": 0})
    wrong = made._replace(
        entry=made.entry.model_copy(update={"public_key": "pk-scl-" + "0" * 24}), secret_key="sk-scl-x"
    )
    with pytest.raises(UnauthorizedError, match="not known here"):
        connect(gateway.url, wrong).auth_check()


def ask(gateway: Gateway, path: str, body: Any) -> tuple[int, Any]:
    """A request as an SDK of any language makes it; status and JSON of the answer."""
    key = gateway.key(Scope.WRITE)
    credentials = base64.b64encode(f"{key.entry.public_key}:{key.secret_key}".encode()).decode()
    status, answer = gateway.post(path, orjson.dumps(body), {"Authorization": f"Basic {credentials}"})
    return status, orjson.loads(answer)


def test_single_score_is_answered_with_its_id(gateway: Gateway) -> None:
    """What SDKs before batches sent."""
    score = {"id": "s-1", "traceId": "t", "name": "n", "value": 1, "timestamp": "2026-09-21T13:00:00.000Z"}
    assert ask(gateway, "/api/public/scores", score) == (200, {"id": "s-1"})
    status, answer = ask(gateway, "/api/public/scores", {"id": "s-2", "name": "n", "value": 1})
    assert (status, answer["error"]["code"], answer["error"]["score_id"]) == (400, "no_target", "s-2")
    [record] = gateway.raw()
    assert (record["score_id"], record["timestamp"]) == ("s-1", "2026-09-21T13:00:00.000Z")


SCORE = {"traceId": "t", "name": "n", "value": 1}


def test_ingestion_batch_is_answered_event_by_event(gateway: Gateway) -> None:
    """Scores are taken or rejected one by one; a trace's events are passed over, an unknown one is an error."""
    batch = [
        {"id": "e1", "type": "score-create", "timestamp": "2026-09-21T13:00:00.000Z", "body": {"id": "s-1"} | SCORE},
        {"id": "e2", "type": "trace-create", "timestamp": "2026-09-21T13:00:00.000Z", "body": {"id": "t"}},
        {"id": "e3", "type": "score-create", "timestamp": "2026-09-21T13:00:00.000Z", "body": SCORE},
        {"id": "e4", "type": "score-create", "body": {"name": "n", "value": 1}},
        {"id": "e5", "type": "score-create", "body": 7},
        {"id": "e6", "type": "surprise"},
    ]
    status, answer = ask(gateway, "/api/public/ingestion", {"batch": batch, "metadata": {}})
    assert status == 207
    assert [(event["id"], event["status"]) for event in answer["successes"]] == [("e1", 201), ("e2", 202), ("e3", 201)]
    assert [(event["id"], event["status"]) for event in answer["errors"]] == [("e4", 400), ("e5", 400), ("e6", 400)]
    assert "scoreline keeps scores" in answer["successes"][1]["message"]
    assert "no_target" in answer["errors"][0]["message"]
    assert {(record["score_id"], record["timestamp"]) for record in gateway.raw()} == {
        ("s-1", "2026-09-21T13:00:00.000Z"),
        ("e3", "2026-09-21T13:00:00.000Z"),
    }


@pytest.mark.parametrize("body", [[], {}, {"batch": {}}, {"batch": [1]}, 7])
def test_body_that_is_no_batch_is_refused(gateway: Gateway, body: Any) -> None:
    """400, and nothing is taken."""
    assert ask(gateway, "/api/public/ingestion", body)[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/public/scores"),
        ("DELETE", "/api/public/scores/s"),
        ("GET", "/api/public/v2/prompts/x"),
        ("POST", "/api/public/media"),
        ("GET", "/api/platform/v1/organizations/scoreline/projects/checkout/prompts"),
    ],
)
def test_what_is_not_supported_is_told_apart_from_what_is_not_there(gateway: Gateway, method: str, path: str) -> None:
    """501, so that nobody takes it for a prompt or a dataset that does not exist."""
    answer = httpx.request(method, gateway.url + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_supported")
    assert f"{method} {path}" in answer.text
    assert httpx.get(f"{gateway.url}/nowhere").status_code == 404

"""The real `interactiveai` SDK, unmodified, against a real gateway."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from interactiveai import Interactive
from interactiveai.api.core import ApiError
from interactiveai.api.resources.commons.errors import Error, NotFoundError, UnauthorizedError
from interactiveai.api.resources.commons.types import ConfigCategory
from interactiveai.api.resources.score import CreateScoreRequest
from interactiveai.api.resources.score_configs import CreateScoreConfigRequest, UpdateScoreConfigRequest
from opentelemetry.sdk.trace import TracerProvider

from scoreline.keys import NewKey, Scope
from tests.producers.scoreline_gateway.compat.gateways import Gateway, Spoiler
from tests.running_pipeline import Pipeline

Connect = Callable[..., Interactive]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients as a service does: a base URL, two keys, a tracer. They are shut down at the end."""
    clients: list[tuple[Interactive, TracerProvider, httpx.Client]] = []

    def connect(url: str, key: NewKey, **options: Any) -> Interactive:
        tracing, client = TracerProvider(), httpx.Client()
        made = Interactive(
            host=url,
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
    config = sdk.api.score_configs.create(
        request=CreateScoreConfigRequest(name="quality", dataType="NUMERIC", minValue=0, maxValue=10)
    )
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
    with sdk.start_as_current_span(name="work") as span:
        sdk.score_current_span(name="tone", value="kind", data_type="CATEGORICAL", comment="c")
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
    assert rows["tone"][3:6] == ("CATEGORICAL", None, "kind")
    assert rows["tone"][9:11] == (trace_id, span_id)
    assert rows["total"][3:5] == ("NUMERIC", 3.0)
    assert rows["total"][9:11] == (trace_id, "")
    assert rows["of-span"][0] == "span-score"
    assert rows["of-span"][9:11] == (trace_id, span_id)
    assert len(rows) == 5
    pipeline.run("reconcile")


@pytest.mark.parametrize(
    "faults", [["refuse"], ["limit"], ["lose"], ["drop"], ["lose", "refuse"]], ids=lambda faults: "-".join(faults)
)
def test_score_whose_answer_was_bad_is_sent_again(
    gateway: Gateway, spoiler: Spoiler, connect: Connect, faults: list[str]
) -> None:
    """Its id stays the same, so that sent twice it is one score."""
    sdk = connect(spoiler.url, gateway.key())
    spoiler.faults = list(faults)
    sdk.create_score(name="n", value=1, trace_id="t")
    sdk.flush()
    records = gateway.raw()
    assert len(records) == spoiler.passed == 1 + sum(fault in ("lose", "drop") for fault in faults)
    assert len({record["score_id"] for record in records}) == 1


def test_score_configs_are_made_listed_read_and_changed(gateway: Gateway, connect: Connect) -> None:
    """Through the SDK's own client, as its own models."""
    configs = connect(gateway.url, gateway.key()).api.score_configs
    categories = [ConfigCategory(label="bad", value=0), ConfigCategory(label="good", value=1)]
    wanted = CreateScoreConfigRequest(name="tone", dataType="CATEGORICAL", categories=categories, description="d")
    made = configs.create(request=wanted)
    assert (made.name, made.data_type, made.categories, made.description) == ("tone", "CATEGORICAL", categories, "d")
    assert (made.project_id, made.is_archived) == (gateway.project, False)
    assert configs.create(request=wanted).id == made.id
    other = configs.create(request=CreateScoreConfigRequest(name="accuracy", dataType="NUMERIC", maxValue=1))
    changed = configs.update(other.id, request=UpdateScoreConfigRequest(minValue=-1, isArchived=True))
    assert (changed.min_value, changed.max_value, changed.is_archived) == (-1, 1, True)
    assert changed.updated_at > changed.created_at
    assert configs.get_by_id(other.id) == changed
    pages = [configs.get(page=page, limit=1) for page in (1, 2, 3)]
    assert [[config.id for config in page.data] for page in pages] == [*([made.id], [other.id]), []]
    assert (pages[0].meta.total_items, pages[0].meta.total_pages) == (2, 2)


def test_errors_are_the_sdks_own(gateway: Gateway, connect: Connect) -> None:
    """Its exception types, with our reason in the body."""
    sdk = connect(gateway.url, gateway.key())
    with pytest.raises(Error, match="one of trace_id, session_id or dataset_run_id is required"):
        sdk.api.score.create(request=CreateScoreRequest(name="n", value=1.0))
    with pytest.raises(Error, match="is above max"):
        sdk.api.score_configs.create(
            request=CreateScoreConfigRequest(name="n", dataType="NUMERIC", minValue=2, maxValue=1)
        )
    with pytest.raises(NotFoundError, match="no config 'none'"):
        sdk.api.score_configs.get_by_id("none")
    with pytest.raises(ApiError, match="not supported by scoreline") as unsupported:
        sdk.api.score.delete("s", request_options={"max_retries": 0})
    assert unsupported.value.status_code == 501
    with pytest.raises(ApiError, match="not supported by scoreline"):
        sdk.api.score_v_2.get_by_id("s", request_options={"max_retries": 0})
    assert gateway.raw() == []


def test_key_without_the_right_is_refused(gateway: Gateway, connect: Connect) -> None:
    """The SDK tells a wrong key from one that may not do this."""
    made = gateway.key(Scope.WRITE)
    with pytest.raises(ApiError, match="scoreline keys create --scope configs") as missing:
        connect(gateway.url, made).api.score_configs.get()
    assert missing.value.status_code == 403
    wrong = made._replace(
        entry=made.entry.model_copy(update={"public_key": "pk-scl-" + "0" * 24}), secret_key="sk-scl-x"
    )
    with pytest.raises(UnauthorizedError, match="not known here"):
        connect(gateway.url, wrong).auth_check()


def test_path_of_another_project_is_not_there(gateway: Gateway) -> None:
    """The key decides, not what stands in the path."""
    headers = {"X-API-Key": gateway.key().secret_key}
    score = {"id": "s", "name": "n", "value": 1, "trace_id": "t"}
    for path, content in (("scores", score), ("score-configs", {"name": "n", "data_type": "NUMERIC"})):
        url = f"{gateway.url}/api/platform/v1/organizations/scoreline/projects/{{}}/{path}"
        refused = httpx.post(url.format("other"), json=content, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_project")
        assert httpx.post(url.format(gateway.project), json=content, headers=headers).status_code == 201


def test_rejected_score_is_given_up_at_once(
    gateway: Gateway, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK logs it and does not send it again; the debug log has our reason."""
    sdk = connect(gateway.url, gateway.key())
    with caplog.at_level(logging.DEBUG, "interactiveai"):
        sdk.create_score(name="n", value=1, observation_id="o")
        sdk.create_score(name="n", value=2, trace_id="t")
        sdk.flush()
    assert "no_target" in caplog.text
    assert [record["value"] for record in gateway.raw()] == [2]

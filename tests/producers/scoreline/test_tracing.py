"""Scores under a real OpenTelemetry tracer: targets, session, user and origin come from it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from scoreline import tracing
from scoreline.client import Client
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline.tracing import origin_of_resource
from tests.producers.scoreline.emitting import run
from tests.support import read_topic

TRACER = TracerProvider().get_tracer("tests")
NOWHERE = Settings(kafka="127.0.0.1:1", flush_s=0.1)


@pytest.fixture
def topics(settings: Settings) -> Settings:
    ensure_topics(settings)
    return settings


def sent(settings: Settings) -> dict[str, dict[str, Any]]:
    """Fields of the records on the raw topic, by the score's name."""
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return {fields["name"]: fields for fields in (json.loads(message.value() or b"") for message in messages)}


@contextmanager
def carrying(**entries: str) -> Iterator[None]:
    """Baggage of the current context; `session_id` stands for `session.id`."""
    current = context.get_current()
    for name, value in entries.items():
        current = baggage.set_baggage(name.replace("_", "."), value, current)
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)


def test_score_of_the_current_span_and_of_its_trace(topics: Settings) -> None:
    """Ids as OpenTelemetry writes them: 32 and 16 hexadecimal digits; also under asyncio, and in a nested span."""

    async def judge(client: Client) -> None:
        with TRACER.start_as_current_span("inner") as span:
            await client.score_current_span_async(name="async span", value=1, error=None)
            await client.score_current_trace_async(name="async trace", value=1)
            spans["inner"] = span.get_span_context()

    spans: dict[str, trace.SpanContext] = {}
    with Client(topics) as client, TRACER.start_as_current_span("outer") as span:
        spans["outer"] = span.get_span_context()
        score_id = client.score_current_span(name="span", value=0.5, comment="c", metadata={"k": 1})
        client.score_current_trace(name="trace", value="good", data_type="CATEGORICAL", score_id="own")
        asyncio.run(judge(client))
    scores = sent(topics)
    trace_id = format(spans["outer"].trace_id, "032x")
    targets = {name: (fields["trace_id"], fields.get("observation_id")) for name, fields in scores.items()}
    assert targets == {
        "span": (trace_id, format(spans["outer"].span_id, "016x")),
        "trace": (trace_id, None),
        "async span": (trace_id, format(spans["inner"].span_id, "016x")),
        "async trace": (trace_id, None),
    }
    assert (scores["span"]["score_id"], scores["trace"]["score_id"]) == (score_id, "own")
    assert (scores["span"]["comment"], scores["span"]["metadata"]) == ("c", {"k": 1})


def test_span_without_recording_is_a_target_too(topics: Settings) -> None:
    """A remote parent, or a trace that is not sampled, has ids that others know."""
    remote = trace.SpanContext(trace_id=0xABC, span_id=0xD, is_remote=True)
    with Client(topics) as client, trace.use_span(trace.NonRecordingSpan(remote)):
        client.score_current_span(name="n", value=1)
    assert (sent(topics)["n"]["trace_id"], sent(topics)["n"]["observation_id"]) == ("0" * 29 + "abc", "0" * 15 + "d")


def test_no_active_span_is_a_warning_once_and_no_score(caplog: pytest.LogCaptureFixture) -> None:
    """Instrumentation that is switched off must not break the service."""
    tracing._warn_of_no_span.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with Client(NOWHERE) as client, caplog.at_level(logging.WARNING, "scoreline"):
        assert client.score_current_span(name="n", value=1) is None
        assert client.score_current_trace(name="n", value=1) is None
        assert asyncio.run(client.score_current_span_async(name="n", value=1)) is None
        assert client.delivery.sent == 0
    assert [record.name for record in caplog.records].count("scoreline.tracing") == 1


def test_session_and_user_come_from_baggage_where_the_score_is_of_this_work(topics: Settings) -> None:
    """Of the active trace, of this session, or of nothing named; never over what the caller says."""
    with Client(topics) as client, TRACER.start_as_current_span("s") as span, carrying(session_id="S", user_id="U"):
        trace_id = format(span.get_span_context().trace_id, "032x")
        client.score_current_span(name="span", value=1, metadata={"k": 1})
        client.create_score(name="this trace", value=1, trace_id=trace_id)
        client.create_score(name="no target", value=1)
        client.create_score(name="this session", value=1, session_id="S")
        client.create_score(name="own words", value=1, trace_id=trace_id, session_id="X", metadata={"user_id": "Y"})
        client.create_score(name="other trace", value=1, trace_id="t")
        client.create_score(name="other session", value=1, session_id="X")
        client.create_score(name="run", value=1, dataset_run_id="r")
    told = {name: (fields.get("session_id"), fields.get("metadata")) for name, fields in sent(topics).items()}
    assert told == {
        "span": ("S", {"k": 1, "user_id": "U"}),
        "this trace": ("S", {"user_id": "U"}),
        "no target": ("S", {"user_id": "U"}),
        "this session": ("S", {"user_id": "U"}),
        "own words": ("X", {"user_id": "Y"}),
        "other trace": (None, None),
        "other session": ("X", None),
        "run": (None, None),
    }


@pytest.mark.parametrize("hostile", ["x" * 201, "a\nb", "a\x00b", "", "\u202e"])
def test_baggage_that_no_score_could_carry_is_left_out(topics: Settings, hostile: str) -> None:
    """It comes from outside, in a header: it must neither break a score nor reach one."""
    with Client(topics) as client, TRACER.start_as_current_span("s"), carrying(session_id=hostile, user_id=hostile):
        client.score_current_span(name="n", value=1)
    assert not {"session_id", "metadata"} & set(sent(topics)["n"])


def test_origin_comes_from_the_resource_where_the_settings_are_silent(topics: Settings) -> None:
    """Also of a provider that is set after the client was made, as many services do."""
    code = """
import scoreline
from opentelemetry import trace
scoreline.create_score(name='before', value=1, trace_id='t')
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
scoreline.create_score(name='not yet set', value=1, trace_id='t')
names = {'service.name': 'checkout', 'deployment.environment.name': 'prod', 'service.version': '1.2'}
trace.set_tracer_provider(TracerProvider(resource=Resource.create(names)))
scoreline.create_score(name='after', value=1, trace_id='t')
"""
    ended = run(code, topics.model_copy(update={"release": "of the settings"}))
    assert (ended.returncode, ended.stderr) == (0, "")
    origins = {
        name: [fields.get(field) for field in ("service", "environment", "release")]
        for name, fields in sent(topics).items()
    }
    assert origins == {
        "before": [None, None, "of the settings"],
        "not yet set": [None, None, "of the settings"],
        "after": ["checkout", "prod", "of the settings"],
    }


def test_resource_in_older_words_and_without_a_name() -> None:
    """`deployment.environment` was the name before; `unknown_service` is none."""
    older = TracerProvider(resource=Resource.create({"deployment.environment": "staging"}))
    assert origin_of_resource(older) == {"environment": "staging"}
    assert origin_of_resource(trace.ProxyTracerProvider()) == {}


def test_service_without_opentelemetry_does_not_load_it() -> None:
    """What nobody imported has no span, and costs no import."""
    code = (
        "import sys, scoreline; from scoreline import Client\n"
        "from scoreline.settings import Settings\n"
        "client = Client(Settings(kafka='127.0.0.1:1', flush_s=0.1))\n"
        "assert client.score_current_span(name='n', value=1) is None\n"
        "client.create_score(name='n', value=1, trace_id='t')\n"
        "print(*[name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""

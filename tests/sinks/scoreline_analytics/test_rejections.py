"""Rejections and the flow of the last minutes, from a real ClickHouse."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import clickhouse_connect
import pytest

from scoreline.errors import QueryError
from scoreline.remedies import remedy_of
from scoreline.settings import Settings
from scoreline_analytics import Analytics, RejectionFilter
from tests.sinks.scoreline_analytics.conftest import Store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
Reject = Callable[..., None]


@pytest.fixture
def reject(settings: Settings, store: Store) -> Reject:
    """Stores a rejected record for each mapping of columns, and what was done about it where `action` says so."""
    stored = 0

    def reject(*records: dict[str, Any]) -> None:
        nonlocal stored
        with clickhouse_connect.get_client(
            host=settings.clickhouse_host,
            port=settings.clickhouse_port,
            username=settings.clickhouse_user,
            database=settings.clickhouse_database,
        ) as client:
            for record in records:
                action = record.pop("action", None)
                place = {"src_partition": stored % 2, "src_offset": stored}
                row = {"project": "team", "rejected_at": "2026-11-20 11:00:00", "stage": "validate", **place, **record}
                value = row.pop("value", None)
                client.raw_insert("rejected_scores", insert_block=json.dumps(row).encode(), fmt="JSONEachRow")
                if value is not None:
                    client.command(
                        "ALTER TABLE rejected_scores UPDATE value = unhex({v:String}) WHERE src_offset = {o:UInt64} "
                        "SETTINGS mutations_sync = 1",
                        parameters={"v": value.hex(), "o": stored},
                    )
                if action:
                    done = {**place, "action": action, "at": "2026-11-20 11:30:00"}
                    client.raw_insert("dead_letter_actions", insert_block=json.dumps(done).encode(), fmt="JSONEachRow")
                stored += 1

    return reject


def test_rejections_say_why_from_whom_with_the_latest_record_and_the_fix(analytics: Analytics, reject: Reject) -> None:
    """Groups of reason and service, the largest first; bytes that are no text do not matter."""
    detail = "config_id: 'acc' is not in project team; create it, then replay"
    reject(
        {"reason": "unknown_config", "service": "web", "detail": "config_id: older", "score_id": "a"},
        {"reason": "unknown_config", "service": "web", "detail": detail, "score_id": "b", "action": "replayed"}
        | {"rejected_at": "2026-11-20 11:01:00", "value": b'{"score_id": "b"}\xff'},
        {"reason": "malformed_json", "service": "", "detail": "no JSON"},
    )
    config, broken = analytics.rejections().groups
    assert (config.reason, config.service, config.n, config.handled) == ("unknown_config", "web", 2, 1)
    assert config.last == datetime(2026, 11, 20, 11, 1, tzinfo=UTC)
    assert config.remedy == remedy_of("unknown_config")
    assert (config.example.letter, config.example.score_id, config.example.field) == ("1/1", "b", "config_id")
    assert (config.example.value, config.example.value_bytes) == ('{"score_id": "b"}�', 18)
    assert (broken.example.value, broken.example.field) == (None, None)
    assert list(config.row()) == list(analytics.rejections().columns)


def test_rejections_are_those_of_the_filter_and_of_the_readers_projects(
    settings: Settings, analytics: Analytics, reject: Reject
) -> None:
    """Also the example is never another project's, though it stands at the place that was named."""
    reject(
        {"reason": "no_target", "service": "web", "name": "accuracy"},
        {"reason": "no_target", "service": "job", "rejected_at": "2026-11-19 11:00:00"},
        {"reason": "too_large", "service": "web", "project": "other"},
    )

    def found(asked: RejectionFilter, limit: int = 10) -> set[tuple[str, str]]:
        return {(group.reason, group.service) for group in analytics.rejections(asked, limit).groups}

    assert found(RejectionFilter(reasons=("no_target",))) == {("no_target", "web"), ("no_target", "job")}
    assert found(RejectionFilter(services=("web",), project="team")) == {("no_target", "web")}
    assert found(RejectionFilter(names=("accuracy",))) == {("no_target", "web")}
    assert found(RejectionFilter(until=NOW - timedelta(days=1))) == {("no_target", "job")}
    assert len(found(RejectionFilter(), 2)) == 2
    assert not analytics.rejections(limit=2).is_complete
    with Analytics(settings, projects=("other",)) as other, Analytics(settings, projects=()) as nobody:
        assert [group.reason for group in other.rejections().groups] == ["too_large"]
        with pytest.raises(QueryError, match=r"no record has project 'team'; there are other$"):
            other.rejections(RejectionFilter(project="team"))
        assert nobody.rejections().groups == ()
    with pytest.raises(QueryError, match="limit"):
        analytics.rejections(limit=0)


def test_flow_tells_rate_and_latencies_of_what_was_inserted_in_the_window(
    settings: Settings, analytics: Analytics, store: Store, reject: Reject
) -> None:
    """A late score counts, and is in no latency that begins at its judgement."""
    for delay_s in range(1, 11):
        store(
            {"timestamp": "2026-11-20 11:58:00", "received_at": "2026-11-20 11:58:00.100", "delay_s": 0.1}
            | {"inserted_at": f"2026-11-20 11:58:{delay_s:02}"}
        )
    store(
        {"timestamp": "2020-01-01 00:00:00", "received_at": "2026-11-20 11:59:00", "delay_s": 2e8, "late": True}
        | {"inserted_at": "2026-11-20 11:58:59"},
        {"project": "other", "received_at": "2026-11-20 11:58:00", "inserted_at": "2026-11-20 11:58:00"},
        {"received_at": "2026-11-20 11:54:00", "inserted_at": "2026-11-20 11:54:59"},
    )
    reject({"reason": "no_target", "inserted_at": "2026-11-20 11:58:00", "rejected_at": "2026-11-20 11:57:00"})
    with Analytics(settings, projects=("team",)) as team:
        flow = team.flow(now=NOW)
    assert (flow.n, flow.late, flow.rejected) == (11, 1, 1)
    assert flow.per_s == pytest.approx(11 / 300)
    assert flow.to_kafka.p50 == pytest.approx(0.1)
    assert flow.to_query.p50 == pytest.approx(5.5)
    assert flow.to_row.p50 == pytest.approx(4.9)
    assert analytics.flow(now=NOW).n == 12
    nothing = analytics.flow(timedelta(seconds=1), now=NOW)
    assert (nothing.n, nothing.to_query.p50) == (0, None)
    with pytest.raises(QueryError, match="within"):
        analytics.flow(timedelta(days=2))

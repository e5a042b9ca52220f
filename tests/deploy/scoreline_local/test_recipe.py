"""The plan of scoreline on one machine: parts, ports, order."""

from __future__ import annotations

import os
import socket

import pytest

from scoreline.errors import SettingsError, StackError
from scoreline_local.datadir import DataDir, adopt
from scoreline_local.plan import Plan, ReadyWhen
from scoreline_local.ports import pick_free
from scoreline_local.recipe import PARTS, make_plan
from scoreline_local.settings import LocalSettings, load_local_settings


def _plan(data: DataDir, settings: LocalSettings, *parts: str) -> Plan:
    adopt(data)
    return make_plan(data, settings, None, parts or PARTS, lambda _: None)


def test_worker_and_sink_wait_for_what_they_need(data: DataDir, local_settings: LocalSettings) -> None:
    """Topics need Kafka, migrations ClickHouse, the worker the topics, the sink both."""
    processes = {spec.name: spec for spec in _plan(data, local_settings).processes}
    assert {name: spec.needs for name, spec in processes.items()} == {
        "kafka": (),
        "clickhouse": (),
        "topics": ("kafka",),
        "migrate": ("clickhouse",),
        "worker": ("topics",),
        "sink": ("topics", "migrate"),
        "gateway": ("topics",),
        "ui": ("topics", "migrate"),
    }
    assert {name for name, spec in processes.items() if spec.runs_once} == {"topics", "migrate"}
    serving = {name for name, spec in processes.items() if spec.ready is ReadyWhen.FILE}
    assert serving == {"worker", "sink", "gateway", "ui"}


def test_scoreline_processes_get_the_settings_of_this_stack(data: DataDir, local_settings: LocalSettings) -> None:
    """Endpoints, a state folder inside the data folder, a static member id, as many copies as brokers."""
    plan = _plan(data, local_settings)
    worker = next(spec for spec in plan.processes if spec.name == "worker")
    assert worker.argv[1:] == ("-m", "scoreline.cli", "worker")
    assert worker.env["SCORELINE_KAFKA"] == plan.endpoints.kafka
    assert worker.env["SCORELINE_STATE_DIR"] == str(data.worker_state)
    assert worker.env["SCORELINE_INSTANCE_ID"] == "local-worker"
    assert worker.env["SCORELINE_REPLICATION_FACTOR"] == "1"
    gateway = next(spec for spec in plan.processes if spec.name == "gateway")
    assert plan.endpoints.gateway == f"http://127.0.0.1:{gateway.env['SCORELINE_GATEWAY_PORT']}"
    assert gateway.env["SCORELINE_GATEWAY_PORT"] != "8080"
    ui = next(spec for spec in plan.processes if spec.name == "ui")
    assert plan.endpoints.ui == f"http://127.0.0.1:{ui.env['SCORELINE_UI_PORT']}"
    assert (ui.env["SCORELINE_UI_HOST"], ui.env["SCORELINE_UI_LOGIN"]) == ("127.0.0.1", "false")


def test_ports_are_kept_from_one_up_to_the_next(data: DataDir, local_settings: LocalSettings) -> None:
    """Picked ones too: what clients were told stays true."""
    first = _plan(data, local_settings, "clickhouse").endpoints
    assert _plan(data, local_settings, "clickhouse").endpoints == first
    at = _plan(data, local_settings, "gateway").endpoints.gateway
    assert _plan(data, local_settings, "gateway").endpoints.gateway == at
    assert _plan(data, LocalSettings(data_dir=data.root), "clickhouse").endpoints == first


def test_port_that_is_asked_for_replaces_the_remembered_one(data: DataDir, local_settings: LocalSettings) -> None:
    """And is remembered in its place."""
    _plan(data, local_settings, "clickhouse")
    (port,) = pick_free(1)
    for settings in (LocalSettings(data_dir=data.root, clickhouse_port=port), LocalSettings(data_dir=data.root)):
        at = _plan(data, settings, "clickhouse").endpoints.clickhouse
        assert at is not None
        assert at.port == port


def test_taken_port_is_named_with_its_holder_and_the_setting(data: DataDir) -> None:
    """So that the remedy needs no search."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError) as caught:
            _plan(data, LocalSettings(data_dir=data.root, clickhouse_port=port), "clickhouse")
    for part in (str(port), f"pid {os.getpid()}", "--clickhouse-port", "SCORELINE_LOCAL_CLICKHOUSE_PORT"):
        assert part in str(caught.value)


def test_cluster_of_another_size_is_not_mixed_into_a_data_folder(data: DataDir, local_settings: LocalSettings) -> None:
    """One broker's log cannot become three brokers' by a flag; as long as there is none, the flag decides."""
    _plan(data, local_settings, "clickhouse")
    three = make_plan(data, local_settings, 3, ("clickhouse",), lambda _: None)
    assert three.endpoints.clickhouse is not None
    (data.kafka / "1").mkdir()
    with pytest.raises(StackError, match=r"3 broker.*not 1.*--fresh"):
        make_plan(data, local_settings, 1, PARTS, lambda _: None)


def test_secured_stack_gives_each_process_a_user_of_its_own(data: DataDir, local_settings: LocalSettings) -> None:
    """By files; nothing starts before its rights are given, and the next `up` is secured too."""
    plan = _plan(data, local_settings.model_copy(update={"secure": True}))
    processes = {spec.name: spec for spec in plan.processes}
    assert processes["access"].needs == ("kafka",)
    for name in ("topics", "worker", "gateway", "sink", "ui"):
        assert "access" in processes[name].needs or "topics" in processes[name].needs
        users = data.secure / "users" / name
        assert processes[name].env["SCORELINE_SECRETS_DIR"] == str(users)
        assert (users / "SCORELINE_KAFKA_USER").read_text() == name
        assert "SCORELINE_KAFKA_KEY" not in processes[name].env
    assert "SCORELINE_SECRETS_DIR" not in processes["migrate"].env
    assert plan.endpoints.environment["SCORELINE_KAFKA_CERTIFICATE"] == str(data.secure / "admin.crt")
    again = _plan(data, local_settings)
    assert again.endpoints == plan.endpoints
    assert not [spec for spec in again.processes if "password" in " ".join(spec.argv).lower()]


@pytest.mark.parametrize(("before", "now"), [(True, False), (None, True)])
def test_cluster_stays_secured_or_not(
    data: DataDir, local_settings: LocalSettings, before: bool | None, now: bool
) -> None:
    """Its log holds users and rights, or none; as long as there is none, the flag decides."""
    _plan(data, local_settings.model_copy(update={"secure": before}), "clickhouse")
    _plan(data, local_settings.model_copy(update={"secure": now}), "clickhouse")
    _plan(data, local_settings.model_copy(update={"secure": before or False}), "clickhouse")
    (data.kafka / "1").mkdir()
    with pytest.raises(StackError, match=r"which is decided when it is made.*--fresh"):
        _plan(data, local_settings.model_copy(update={"secure": now}))


def test_part_that_does_not_exist_is_named(data: DataDir, local_settings: LocalSettings) -> None:
    """With the list of those that do."""
    with pytest.raises(StackError, match=r"no such part: redis; there are kafka, clickhouse"):
        _plan(data, local_settings, "kafka", "redis")


def test_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the variable that a person has set."""
    monkeypatch.setenv("SCORELINE_LOCAL_KAFKA_PORT", "ninety")
    with pytest.raises(SettingsError, match="SCORELINE_LOCAL_KAFKA_PORT"):
        load_local_settings()


def test_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that is not given leaves the variable in force."""
    monkeypatch.setenv("SCORELINE_LOCAL_KAFKA_PORT", "9192")
    assert load_local_settings(kafka_port=None).kafka_port == 9192
    assert load_local_settings(kafka_port=9292).kafka_port == 9292

"""The compose file: as a linter and our rules want it, its Kafka started for real, its password made for real."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.compose import password
from scoreline.cli import COMMANDS
from scoreline.settings import PREFIX, Settings, load_settings
from scoreline_local.jars import KAFKA, ensure_jars
from scoreline_local.java import find_java
from scoreline_local.ports import pick_free
from tests.deploy.docker.dockerfile import environment, of, stages
from tests.documents import ROOT

FOLDER = ROOT / "deploy/compose"
FILE = FOLDER / "compose.yaml"
OURS = {"password", "topics", "migrate", "worker", "sink", "gateway", "ui"}
ONCE = {"password", "topics", "migrate"}
START_S = 60.0


def services() -> dict[str, dict[str, Any]]:
    """The services, with what they merge."""
    return yaml.safe_load(FILE.read_text())["services"]


def test_linter_finds_nothing_but_what_is_decided() -> None:
    """Digests are for whoever has a registry; a folder's name is no secret; Kafka unpacks native code into /tmp."""
    command = [Path(sys.executable).with_name("compose-lint"), "check", "--format", "json", FILE]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {(each["rule_id"], each["service"], each["message"]) for each in json.loads(ended.stdout)["findings"]}
    decided = {("CL-0022", "kafka")} | {("CL-0019", name) for name in services()}
    decided |= {("CL-0020", name) for name, _, said in found for name in OURS if "'SCORELINE_SECRETS_DIR'" in said}
    assert {(rule, name) for rule, name, _ in found} <= decided, sorted(found)


def test_every_container_is_contained() -> None:
    """A root that cannot be written, no capability, a number for a user, bounds on memory, processors and processes."""
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["pids_limit"], name
        assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service), name
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"]), name


def test_only_loopback_is_published() -> None:
    """Whoever is on the network of the machine reaches nothing."""
    published = {port for service in services().values() for port in service.get("ports", ())}
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_each_waits_for_what_it_needs() -> None:
    """For the end of what runs once, for the health of what stays; every service that is waited for has a check."""
    all_of_them = services()
    ours = of(stages()[-1], "HEALTHCHECK")
    for name, service in all_of_them.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how == {"condition": wanted}, (name, needed)
        if name in ONCE:
            assert service["restart"] == "on-failure"
        else:
            assert service["restart"] == "unless-stopped"
            assert ours if name in OURS else service["healthcheck"]["test"]
    assert set(all_of_them["sink"]["depends_on"]) == {"topics", "migrate"}
    assert "password" in all_of_them["clickhouse"]["depends_on"]


def test_services_run_commands_and_settings_that_there_are() -> None:
    """Each process of the pipeline is there, by its command; secrets come as files."""
    known = {PREFIX + name.upper() for name in (*Settings.model_fields, "secrets_dir")}
    for name in OURS - {"password"}:
        service = services()[name]
        assert service["command"] == [name]
        assert name in COMMANDS
        assert "entrypoint" not in service
        assert set(service["environment"]) <= known
        assert not [variable for variable in service["environment"] if "PASSWORD" in variable]
    assert services()["worker"]["volumes"][-1] == "worker:/var/lib/scoreline"
    assert environment(stages()[-1])["SCORELINE_STATE_DIR"].startswith("/var/lib/scoreline/")


def test_files_that_are_mounted_are_there() -> None:
    """And all that lies here is used."""
    configs = yaml.safe_load(FILE.read_text())["configs"]
    mounted = {each["source"] for service in services().values() for each in service.get("configs", ())}
    assert mounted == set(configs)
    files = {each["file"] for each in configs.values()}
    assert files == {path.name for path in FOLDER.iterdir() if path.is_file()} - {"compose.yaml", "README.md"}


def test_password_is_made_once_and_known_to_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """scoreline reads it from its file, ClickHouse has its hash; nobody else may read it."""
    password.make(tmp_path)
    secret = (tmp_path / "SCORELINE_CLICKHOUSE_PASSWORD").read_text()
    password.make(tmp_path)
    monkeypatch.setenv("SCORELINE_SECRETS_DIR", str(tmp_path))
    assert load_settings().clickhouse_password.get_secret_value() == secret
    assert len(secret) >= 24
    users = (tmp_path / "scoreline.xml").read_text()
    assert hashlib.sha256(secret.encode()).hexdigest() in users
    assert secret not in users
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "SCORELINE_CLICKHOUSE_PASSWORD": 0o400,
        "scoreline.xml": 0o444,
    }


def test_broker_starts_with_the_committed_configuration(tmp_path: Path) -> None:
    """Formatted, formatted again as at every start, and serving the host's listener; its version is the tested one."""
    text = (FOLDER / "kafka.properties").read_text()
    ports = pick_free(3)
    for name, port in zip(("9092", "9093", "19092"), ports, strict=True):
        text = re.sub(rf":{name}\b", f":{port}", text)
    text = text.replace("//kafka:", "//localhost:").replace("/var/lib/kafka/data", str(tmp_path))
    file = tmp_path / "kafka.properties"
    file.write_text(text)
    java, jars = str(find_java()), ensure_jars(lambda _: None)
    command = services()["kafka"]["command"][0]
    cluster = re.search(r"--cluster-id (\S+)", command)
    assert cluster is not None
    assert services()["kafka"]["image"].endswith(KAFKA.name.replace("-", ":"))
    run = [java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    form = [*run, "kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster[1]]
    for _ in range(2):
        subprocess.run([*form, "--config", file], check=True, capture_output=True)
    with (
        (tmp_path / "broker.out").open("wb") as out,
        subprocess.Popen([*run, "kafka.Kafka", file], stdout=out) as broker,
    ):
        try:
            _await_broker(f"localhost:{ports[0]}", broker)
        finally:
            broker.terminate()


def _await_broker(address: str, broker: subprocess.Popen[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    deadline = time.monotonic() + START_S
    while True:
        assert broker.poll() is None, "the broker has ended"
        try:
            assert admin.list_topics(timeout=1).brokers
        except KafkaException:
            assert time.monotonic() < deadline, "the broker does not answer"
        else:
            return

"""Each component does its work with exactly its rights, and nothing else; nobody is let in without proof."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import psutil
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

import scoreline
from scoreline.access import Acl, Component, Operation, Pattern, Resource, acls
from scoreline.errors import SettingsError, TopicError
from scoreline.granting import grant, held
from scoreline.kafka import await_broker, client_options, ensure_topics, error_of, require_topics
from scoreline.lag import pipeline_lag
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_local.certificates import make_authority, make_certificate
from scoreline_local.ports import pick_free
from scoreline_local.secured import Secrets, let_in
from scoreline_streams.repartition import repartition
from tests.security.conftest import Secured
from tests.support import Running, environment, eventually

SCORES = 20
ANSWER_S = 15.0
LOOKING = "looking"
"""Group of the test's own consumers."""


@dataclass(frozen=True)
class Processes:
    """Everything that runs of one pipeline, each as its own user."""

    secured: Secured
    worker: Running
    gateway_port: int
    observe_port: int

    def run(self, component: Component, *command: str, text: str = "") -> str:
        """Run a command as this component's user; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "scoreline.cli", *command],
            env=environment(self.secured.base) | self.secured.environment(component),
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{component} {command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def processes(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("processes")
    gateway, ui, observe = pick_free(3)
    ports = {"gateway_port": gateway, "ui_port": ui}
    with ExitStack() as stack:

        def start(component: Component, **changed: int) -> Running:
            settings = secured.base.model_copy(update={**ports, **changed})
            environ = secured.environment(component)
            return stack.enter_context(Running(settings, folder, str(component), environ=environ))

        started = {
            Component.WORKER: start(Component.WORKER, observe_port=observe),
            **{each: start(each) for each in (Component.SINK, Component.GATEWAY, Component.UI)},
        }
        for process in started.values():
            process.await_ready()
        yield Processes(secured, started[Component.WORKER], gateway, observe)


def lines(count: int) -> str:
    """Scores as `scoreline emit --stdin` reads them."""
    scores = [
        {"score_id": f"s-{number}", "trace_id": f"t-{number}", "name": "accuracy", "value": 0.5}
        for number in range(count)
    ]
    return "".join(json.dumps(score) + "\n" for score in scores)


def test_every_component_works_with_exactly_its_rights(processes: Processes) -> None:
    """One walk through all of them: configs, lookups, keys, emitting, worker, sink, dead letters, reading, proving."""
    secured, run = processes.secured, processes.run
    topics = declare_topics(secured.base)
    assert "exists" in run(Component.TOPICS, "topics")
    run(Component.CONFIGS, "configs", "put", "-", text="id: graded\nname: graded\ndata_type: NUMERIC\nmax: 1\n")
    run(Component.LOOKUPS, "lookups", "put", "-", text="field: service\nvalue: web\nattributes: {team: x}\n")
    key = json.loads(run(Component.KEYS, "keys", "create", "--scope", "write", "--scope", "read", "--json"))
    run(Component.CLIENT, "emit", "--stdin", text=lines(SCORES))
    _post(processes, key["secret_key"])
    # what the worker rejects goes to the dead letters, and from there into ClickHouse
    bad = Producer(client_options(secured.by_password(Component.CLIENT), partitioner="murmur2"))
    unfit = {"score_id": "bad", "trace_id": "t", "name": "accuracy", "value": {}, "timestamp": "2026-01-01T00:00:00Z"}
    bad.produce(topics.raw.name, json.dumps(unfit).encode(), b"default/bad")
    assert bad.flush(ANSWER_S) == 0
    eventually(lambda: pipeline_lag(secured.by_password(Component.LAG)) == {"worker": 0, "sink": 0}, "all is stored")
    assert pipeline_lag(secured.by_password(Component.RECONCILE)) == {"worker": 0, "sink": 0}
    run(Component.RECONCILE, "reconcile")
    assert len(json.loads(run(Component.DLQ, "dlq", "list", "--json"))["letters"]) == 1
    run(Component.DLQ, "dlq", "replay", "--set", "value=0.5", "--yes")

    assert "s-0" in run(Component.CONSUMER, "tail", "--from-beginning", "--max", str(SCORES + 2), "--json")
    assert "bad" in run(Component.DLQ, "tail", "--rejected", "--from-beginning", "--max", "1", "--json")

    reader = secured.by_password(Component.CONSUMER)
    admin = secured.by_certificate()
    grant(admin, f"User:{Component.CONSUMER}", acls(secured.base, ["reports"])[Component.CONSUMER])
    with scoreline.consume(group="reports", start="beginning", settings=reader) as scores:
        assert len({score.score_id for score in islice(scores, SCORES + 2)}) == SCORES + 2


def test_partitions_are_added_with_exactly_the_rights_for_it(secured_stack: Secured) -> None:
    """To a pipeline of its own, which nobody works at."""
    base = secured_stack.base.model_copy(update={"topic_prefix": f"t{uuid.uuid4().hex[:10]}."})
    few = Secured(base, secured_stack.scram, secured_stack.mtls, secured_stack.secrets)
    let_in(few.by_certificate(), few.secrets)
    ensure_topics(few.by_password(Component.TOPICS))
    report = repartition(few.by_password(Component.REPARTITION).model_copy(update={"partitions": 8}), print)
    assert (report.before, report.after) == (4, 8)


def _post(processes: Processes, secret: str) -> None:
    score = {"trace_id": "t", "name": "accuracy", "value": 1}
    url = f"http://127.0.0.1:{processes.gateway_port}/v1/scores"

    def is_taken() -> bool:
        return httpx.post(url, json=score, headers={"x-api-key": secret}, timeout=30).status_code == 202

    eventually(is_taken, "the gateway knows the new key and takes a score")


def test_nobody_may_do_what_is_not_granted(secured: Secured) -> None:
    """Every component, on every topic, group and transactional id: the broker says what the table says."""
    wrong: list[str] = []
    asked = {True: 0, False: 0}
    own_group = Acl(Resource.GROUP, secured.base.topic_prefix + LOOKING, Pattern.LITERAL, Operation.DESCRIBE)
    for component in Component:
        settings = secured.by_password(component)
        grant(secured.by_certificate(), f"User:{component}", [own_group])
        granted = acls(settings)[component]
        for resource, kind, name in _resources(settings):
            for operation, attempt in _ATTEMPTS[kind].items():
                expected = _is_granted(granted, kind, name, operation)
                if expected and _would_change(kind, operation):
                    continue
                asked[expected] += 1
                if attempt(settings, name) != expected:
                    wrong.append(
                        f"{component}: {operation} on {resource} should be {'allowed' if expected else 'denied'}"
                    )
    assert not wrong
    assert asked[True] > 40
    assert asked[False] > 200


def _would_change(kind: Resource, operation: Operation) -> bool:
    """Whether what is granted changes what other tests look at; that it works is seen by the walk."""
    return operation not in (Operation.READ, Operation.DESCRIBE_CONFIGS) or kind is not Resource.TOPIC


def _resources(settings: Settings) -> Iterator[tuple[str, Resource, str]]:
    topics, groups = declare_topics(settings), declare_groups(settings)
    for topic in topics.all():
        yield topic.name, Resource.TOPIC, topic.name
    for group in (groups.worker, groups.sink_enriched, groups.sink_rejected):
        yield group, Resource.GROUP, group
    for transactional_id in (
        f"{groups.worker}.{topics.raw.name}.99",
        f"{groups.sink_enriched}.{topics.enriched.name}.99",
        f"{topics.configs.name}.writer",
        f"{topics.lookups.name}.writer",
        f"{topics.keys.name}.writer",
    ):
        yield transactional_id, Resource.TRANSACTIONAL_ID, transactional_id


def _is_granted(granted: tuple[Acl, ...], kind: Resource, name: str, operation: Operation) -> bool:
    return any(
        acl.resource is kind
        and acl.operation is operation
        and (acl.name == name if acl.pattern == "literal" else name.startswith(acl.name))
        for acl in granted
    )


def _is_denied(error: KafkaError) -> bool:
    return "AUTHORIZATION_FAILED" in error.name()


def _is_hidden(client: Consumer | Producer, topic: str) -> bool:
    error = client.list_topics(topic, timeout=ANSWER_S).topics[topic].error
    return error is not None and _is_denied(error)


def _may_read(settings: Settings, topic: str) -> bool:
    consumer = Consumer(
        client_options(
            settings,
            # without a right to its group a consumer waits for it to the end
            group_id=settings.topic_prefix + LOOKING,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=10,
        )
    )
    try:
        if _is_hidden(consumer, topic):
            return False
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(1, ANSWER_S)
        assert messages, f"no answer about {topic}"
        error = messages[0].error()
        return error is None or not _is_denied(error)
    finally:
        consumer.close()


def _may_write(settings: Settings, topic: str) -> bool:
    errors: list[KafkaError | None] = []
    producer = Producer(client_options(settings, linger_ms=0, message_timeout_ms=int(ANSWER_S * 1000)))
    if _is_hidden(producer, topic):
        return False
    producer.produce(topic, b"x", b"x", 0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(ANSWER_S)
    [error] = errors
    return error is None or not _is_denied(error)


def _future_allows(future: object) -> bool:
    try:
        future.result(ANSWER_S)  # type: ignore[attr-defined]
    except KafkaException as error:
        return not _is_denied(error_of(error))
    return True


def _may_delete(settings: Settings, topic: str) -> bool:
    admin = AdminClient(client_options(settings))
    return _future_allows(admin.delete_topics([topic])[topic])


def _may_alter(settings: Settings, topic: str) -> bool:
    admin = AdminClient(client_options(settings))
    wanted = ConfigResource(
        ResourceType.TOPIC,
        topic,
        incremental_configs=[ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)],
    )
    return _future_allows(next(iter(admin.incremental_alter_configs([wanted]).values())))


def _may_describe_configs(settings: Settings, topic: str) -> bool:
    admin = AdminClient(client_options(settings))
    return _future_allows(next(iter(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())))


def _may_commit(settings: Settings, group: str) -> bool:
    admin = AdminClient(client_options(settings))
    offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(declare_topics(settings).raw.name, 0, 0)])
    try:
        [answer] = (
            admin.alter_consumer_group_offsets([offsets], request_timeout=ANSWER_S)[group].result().topic_partitions
        )
    except KafkaException as error:
        return not _is_denied(error_of(error))
    return answer.error is None or not _is_denied(answer.error)


def _may_begin(settings: Settings, transactional_id: str) -> bool:
    producer = Producer(client_options(settings, transactional_id=transactional_id))
    try:
        producer.init_transactions(ANSWER_S)
    except KafkaException as error:
        if not _is_denied(error_of(error)):
            raise
        return False
    return True


_ATTEMPTS = {
    Resource.TOPIC: {
        Operation.READ: _may_read,
        Operation.WRITE: _may_write,
        Operation.DELETE: _may_delete,
        Operation.ALTER_CONFIGS: _may_alter,
        Operation.DESCRIBE_CONFIGS: _may_describe_configs,
    },
    Resource.GROUP: {Operation.READ: _may_commit},
    Resource.TRANSACTIONAL_ID: {Operation.WRITE: _may_begin},
}


def test_only_whoever_creates_topics_creates_topics(secured: Secured) -> None:
    """And nobody another one than those that are declared."""
    for component in Component:
        admin = AdminClient(client_options(secured.by_password(component)))
        name = f"{secured.base.topic_prefix}scores.other"
        assert not _future_allows(admin.create_topics([NewTopic(name, 1, 1)])[name]), component
    with pytest.raises(TopicError, match=r"hidden from its user.*scoreline acls worker"):
        require_topics(secured.by_password(Component.LAG), Component.WORKER)
    ensure_topics(secured.by_password(Component.TOPICS))


def test_rights_are_given_once_and_only_by_a_super_user(secured: Secured) -> None:
    """A second time there is nothing to give; a component cannot give itself more."""
    admin = secured.by_certificate()
    wanted = acls(secured.base, ["twice"])[Component.CONSUMER]
    assert {acl.name for acl in grant(admin, "User:consumer", wanted)} == {f"{secured.base.topic_prefix}twice"}
    assert grant(admin, "User:consumer", wanted) == []
    assert held(admin, "User:nobody") == set()
    with pytest.raises(SettingsError, match="sink may not look at or change ACLs"):
        grant(secured.by_password(Component.SINK), "User:sink", wanted)


def test_proof_by_certificate_is_as_good_as_by_password(secured: Secured) -> None:
    """The certificate's name is the user, with that user's rights."""
    worker = secured.by_certificate("worker")
    require_topics(worker, Component.WORKER)
    assert _may_read(worker, declare_topics(worker).raw.name)
    assert not _may_write(worker, declare_topics(worker).raw.name)


def test_worker_proves_itself_by_certificate(secured: Secured, tmp_path: Path) -> None:
    """Both of its clients: librdkafka's and Faust's."""
    settings = secured.base.model_copy(
        update={"state_dir": tmp_path / "state", "topic_prefix": secured.base.topic_prefix}
    )
    environ = secured.secrets.by_certificate(secured.mtls, "worker")
    with Running(settings, tmp_path, "worker", environ=environ) as worker:
        worker.await_ready()
        assert worker.stop() == 0


@pytest.mark.parametrize("wrong", ["password", "authority", "no certificate", "certificate of another"])
def test_nobody_is_let_in_without_proof(
    secured: Secured, wrong: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password ends a process and is named; what may be the broker's fault is waited for, and told."""
    good = secured.by_password(Component.WORKER).model_dump(exclude_defaults=True)
    stranger = make_authority("stranger")
    files = Secrets(tmp_path)
    files.authority.write_bytes(stranger.certificate)
    made = make_certificate(stranger, "worker")
    files.certificate("worker").write_bytes(made.certificate)
    files.key("worker").write_bytes(made.key)
    by_certificate = {"kafka": secured.mtls, "kafka_ca": secured.secrets.authority}
    given = {
        "password": good | {"kafka_password": "guessed"},
        "authority": good | {"kafka_ca": files.authority},
        "no certificate": secured.base.model_dump(exclude_defaults=True) | by_certificate,
        "certificate of another": secured.base.model_dump(exclude_defaults=True)
        | by_certificate
        | {"kafka_certificate": files.certificate("worker"), "kafka_key": files.key("worker")},
    }[wrong]
    settings = load_settings(**given)
    if wrong == "password":
        with pytest.raises(SettingsError, match=r"does not let user worker in.*SCORELINE_KAFKA_PASSWORD"):
            await_broker(settings)
        return
    tries = iter(range(3))
    with caplog.at_level(logging.WARNING):
        await_broker(settings, lambda: next(tries, None) is None)
    assert "SSL" in caplog.text


def test_worker_listens_nowhere_but_where_it_is_observed(processes: Processes) -> None:
    """Faust's own web server stays closed."""
    own = psutil.Process(processes.worker.process.pid)
    found = [each for process in (own, *own.children(recursive=True)) for each in process.net_connections("all")]
    listening = {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}
    assert listening == {processes.observe_port}


def test_worker_started_by_faust_listens_nowhere(secured: Secured, tmp_path: Path) -> None:
    """`faust -A scoreline_streams.app worker`, which would open 6066 on every interface by default."""
    ready = tmp_path / "ready"
    settings = secured.base.model_copy(update={"state_dir": tmp_path / "state", "ready_file": ready})
    environ = environment(settings) | secured.environment(Component.WORKER)
    command = [str(Path(sys.executable).with_name("faust")), "-A", "scoreline_streams.app", "worker", "-l", "warn"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=tmp_path)
    try:
        eventually(lambda: ready.exists() or process.poll() is not None, "worker ready")
        assert process.poll() is None, (tmp_path / "log").read_text()
        found = psutil.Process(process.pid).net_connections("inet")
        assert not [each for each in found if each.status == psutil.CONN_LISTEN]
    finally:
        process.kill()
        process.wait(ANSWER_S)


def test_worker_refuses_options_that_one_of_its_clients_would_not_hear(tmp_path: Path) -> None:
    """They would leave Faust's consumer speaking in the open."""
    given = {"SCORELINE_KAFKA_OPTIONS": '{"security.protocol": "ssl"}', "SCORELINE_KAFKA": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "scoreline.cli", "worker"],
        env={"PATH": os.environ["PATH"], **given},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "security.protocol would not reach the worker's consumer" in done.stderr
    assert "Traceback" not in done.stderr

"""What the chart makes, as it is committed: valid for Kubernetes, by our rules, and in step with the code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from deploy.helm.generate import CHART, KAFKA, README, RENDERED, SETS, helm, kafka_text, readme_text, render

from scoreline.access import acls
from scoreline.cli import COMMANDS
from scoreline.settings import PREFIX, Settings, load_settings
from scoreline.topics import declare_groups, declare_topics
from tests.deploy.helm.manifests import LONG_RUNNING, SERVED, Manifest, Pod, everything, manifests, of_kind, pods

KUBERNETES = "1.37"
OF_OTHERS = ("keda.sh/", "kafka.strimzi.io/", "monitoring.coreos.com/")
every_pod = pytest.mark.parametrize("pod", pods(), ids=str)
needs_helm = pytest.mark.skipif(helm() is None, reason="helm is not installed; the committed manifests are checked")


@needs_helm
@pytest.mark.parametrize("values", SETS)
def test_manifests_are_what_the_chart_renders(values: str) -> None:
    """After a change: make manifests."""
    assert (RENDERED / f"{values}.yaml").read_text() == render(SETS[values])


def test_every_set_of_values_is_rendered() -> None:
    """And nothing else lies beside them."""
    assert {path.stem for path in RENDERED.iterdir()} == set(SETS)


def test_generated_files_are_in_step_with_the_code() -> None:
    """Topics and rights as they are declared, values as they are commented. After a change: make manifests."""
    assert README.read_text() == readme_text()
    assert KAFKA.read_text() == kafka_text()


@pytest.mark.parametrize("values", SETS)
def test_kubernetes_takes_every_manifest(values: str) -> None:
    """By its own schemas, with no field that it does not know."""
    checked = 0
    for manifest in manifests(values):
        if not manifest["apiVersion"].startswith(OF_OTHERS):
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
            checked += 1
    assert checked > 15


@every_pod
def test_pod_has_no_right_that_it_does_not_need(pod: Pod) -> None:
    """Not root, nothing to write but its volumes, no capability, no token, nothing of the host."""
    mine, own = pod.spec["securityContext"], pod.container["securityContext"]
    assert mine["runAsNonRoot"] is True
    assert mine["runAsUser"] == mine["fsGroup"] == 10001
    assert mine["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod.spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
    assert not any("hostPath" in volume for volume in pod.spec["volumes"])


@every_pod
def test_pod_says_what_it_takes(pod: Pod) -> None:
    """Requests and limits of CPU, memory and disk; an image by version or digest."""
    for bound in ("requests", "limits"):
        assert set(pod.container["resources"][bound]) == {"cpu", "memory", "ephemeral-storage"}
    name, _, version = pod.container["image"].rpartition(":")
    assert name
    assert version not in ("", "latest")


@every_pod
def test_every_mount_has_its_volume(pod: Pod) -> None:
    """And every volume its mount; /tmp is there, as the root cannot be written."""
    claims = {each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", ())}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod.spec["volumes"]} | claims
    assert mounts["tmp"] == "/tmp"


@every_pod
def test_pod_runs_a_command_that_there_is(pod: Pod) -> None:
    """Its first argument is a subcommand of scoreline."""
    assert pod.container["args"][0] in COMMANDS
    assert "command" not in pod.container


@every_pod
def test_pod_is_told_settings_that_there_are(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is a setting, each is right, and none is a secret."""
    names = {variable["name"].removeprefix(PREFIX) for variable in pod.container["env"]}
    known = {name.upper() for name in Settings.model_fields} | {"SECRETS_DIR", "CONFIG"}
    assert names <= known
    assert not [name for name in names if "PASSWORD" in name]
    of_files = ("SECRETS_DIR", "_CA", "_CERTIFICATE", "_KEY")
    told = {name: value for name, value in pod.environment.items() if not name.endswith(of_files)}
    # A user belongs to a password, which is in a file of the pod.
    told.pop("SCORELINE_KAFKA_USER", None)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.kafka == told["SCORELINE_KAFKA"]
    assert pod.spec["enableServiceLinks"] is False


@pytest.mark.parametrize("pod", [pod for pod in pods() if pod.component in SERVED], ids=str)
def test_process_is_probed_where_it_answers(pod: Pod) -> None:
    """Alive and ready are different questions; pods of one kind are spread, and may not all go at once."""
    (port,) = pod.container["ports"]
    assert port["containerPort"] == SERVED[pod.component]
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert pod.container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    if pod.component in ("worker", "sink"):
        assert pod.environment["SCORELINE_OBSERVE_PORT"] == str(port["containerPort"])
    else:
        assert pod.container["args"][-4:] == ["--host", "0.0.0.0", "--port", str(port["containerPort"])]
    spread = {each["topologyKey"] for each in pod.spec["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    (budget,) = [each for each in of_kind(pod.values, "PodDisruptionBudget") if _selects(each["spec"]["selector"], pod)]
    assert budget["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("values", SETS)
def test_each_long_running_process_is_there_once(values: str) -> None:
    """Four of them, or three without the page."""
    owners = [each for each in manifests(values) if each["kind"] in LONG_RUNNING]
    components = sorted(each["metadata"]["labels"]["app.kubernetes.io/component"] for each in owners)
    assert components == sorted(set(SERVED) - ({"ui"} if values == "external" else set()))


@every_pod
def test_owner_selects_its_pods_and_no_others(pod: Pod) -> None:
    """By labels that never change."""
    if pod.owner["kind"] == "Job":
        return
    selecting = [each for each in pods() if each.values == pod.values and _selects(pod.owner["spec"]["selector"], each)]
    assert [str(each) for each in selecting] == [str(pod)]


@every_pod
def test_pod_connects_only_where_it_has_to(pod: Pod) -> None:
    """One policy selects it; it goes to DNS, to Kafka and, of those that ask it, to ClickHouse."""
    (policy,) = [
        each["spec"] for each in of_kind(pod.values, "NetworkPolicy") if _selects(each["spec"]["podSelector"], pod)
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    kafka = {int(server.rpartition(":")[2]) for server in pod.environment["SCORELINE_KAFKA"].split(",")}
    clickhouse = {int(pod.environment["SCORELINE_CLICKHOUSE_PORT"])}
    wanted = {"worker": kafka, "gateway": kafka, "topics": kafka, "migrate": clickhouse}
    assert ports == {53} | wanted.get(pod.component, kafka | clickhouse)
    named = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert named == {port["name"] for port in pod.container.get("ports", ())}


@pytest.mark.parametrize("values", SETS)
def test_services_reach_their_pods(values: str) -> None:
    """Each selects one kind of pod, at a port that it has."""
    for service in of_kind(values, "Service"):
        chosen = [pod for pod in pods() if pod.values == values and _selects(service["spec"]["selector"], pod)]
        assert len(chosen) == 1, service["metadata"]["name"]
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] in {each["name"] for each in chosen[0].container["ports"]}


@pytest.mark.parametrize("values", SETS)
def test_worker_keeps_its_name_and_its_state(values: str) -> None:
    """A pod that comes back is the same member of the group, with the same volume."""
    (worker,) = of_kind(values, "StatefulSet")
    (pod,) = [each for each in pods() if each.owner is worker]
    named = {each["name"]: each["valueFrom"] for each in pod.container["env"] if "valueFrom" in each}
    assert named == {"SCORELINE_INSTANCE_ID": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert [claim["metadata"]["name"] for claim in worker["spec"]["volumeClaimTemplates"]] == ["state"]
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(values, "Service")}
    assert services[worker["spec"]["serviceName"]]["clusterIP"] == "None"


@pytest.mark.parametrize("values", SETS)
def test_never_more_pods_than_partitions(values: str) -> None:
    """Neither by number nor by lag; and lag is that of our groups on our topics."""
    for kind, component in (("StatefulSet", "worker"), ("Deployment", "sink")):
        (owner,) = [each for each in of_kind(values, kind) if each["metadata"]["name"].endswith(component)]
        pod = Pod(values, owner)
        settings = _settings_of(pod)
        scaled = [each for each in of_kind(values, "ScaledObject") if each["metadata"]["name"].endswith(component)]
        assert ("replicas" in owner["spec"]) is not bool(scaled)
        if not scaled:
            assert owner["spec"]["replicas"] <= settings.partitions
            continue
        spec = scaled[0]["spec"]
        assert spec["scaleTargetRef"]["kind"] == kind
        assert spec["scaleTargetRef"]["name"] == owner["metadata"]["name"]
        processes = int(pod.container["args"][2]) if len(pod.container["args"]) > 1 else 1
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= settings.partitions // processes
        topics, groups = declare_topics(settings), declare_groups(settings)
        watched = {(each["metadata"]["consumerGroup"], each["metadata"]["topic"]) for each in spec["triggers"]}
        assert watched == (
            {(groups.worker, topics.raw.name)}
            if component == "worker"
            else {(groups.sink_enriched, topics.enriched.name), (groups.sink_rejected, topics.rejected.name)}
        )


def test_topics_of_strimzi_are_those_that_scoreline_declares() -> None:
    """Name, partitions, copies and every setting: what `scoreline topics` would make."""
    (worker,) = of_kind("strimzi", "StatefulSet")
    made = {each["spec"]["topicName"]: each["spec"] for each in of_kind("strimzi", "KafkaTopic")}
    settings = _settings_of(Pod("strimzi", worker))
    assert settings.state_horizon_days == 90
    assert made == {
        topic.name: {
            "topicName": topic.name,
            "partitions": topic.partitions,
            "replicas": settings.replication_factor,
            "config": {name: int(value) if value.isdecimal() else value for name, value in topic.config.items()},
        }
        for topic in declare_topics(settings).all()
    }


def test_users_of_strimzi_may_what_their_component_needs() -> None:
    """Exactly the rights that are declared, under the release's prefix."""
    (worker,) = of_kind("strimzi", "StatefulSet")
    granted = acls(_settings_of(Pod("strimzi", worker)))
    users = {each["metadata"]["name"].removeprefix("scoreline-"): each for each in of_kind("strimzi", "KafkaUser")}
    assert set(users) == {"worker", "sink", "gateway", "ui", "lag", "keys", "client"}
    for component, user in users.items():
        rules = user["spec"]["authorization"]["acls"]
        said = {(each["resource"]["name"], operation) for each in rules for operation in each["operations"]}
        assert said == {(acl.name, str(acl.operation)) for acl in granted[component]}


@pytest.mark.parametrize("values", SETS)
def test_jobs_run_before_anything_is_changed(values: str) -> None:
    """As hooks that need nothing of the chart, since nothing of it is there yet."""
    jobs = {each["metadata"]["name"]: each for each in of_kind(values, "Job")}
    assert len(jobs) == (1 if values == "strimzi" else 2)
    for job in jobs.values():
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "serviceAccountName" not in job["spec"]["template"]["spec"]
        assert job["spec"]["activeDeadlineSeconds"] > 0


def test_no_manifest_holds_a_secret() -> None:
    """Secrets are made by others and named; their content is not in the release."""
    assert not [each["metadata"]["name"] for _, each in everything() if each["kind"] == "Secret"]


def test_secret_is_read_as_kubernetes_lays_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of links into a folder that is swapped as a whole, beside files that are no settings."""
    swapped = tmp_path / "..2026_11_23"
    swapped.mkdir()
    (tmp_path / "..data").symlink_to(swapped.name)
    for name, text in (("SCORELINE_CLICKHOUSE_PASSWORD", "a b"), ("kafka.crt", "-----BEGIN")):
        (swapped / name).write_text(text)
        (tmp_path / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("SCORELINE_SECRETS_DIR", str(tmp_path))
    assert load_settings().clickhouse_password.get_secret_value() == "a b"


WRONG = (
    {"worker": {"replica": 1}},
    {"kafka": {"bootstrapServers": "kafka"}},
    {"kafka": {"partitions": 0}},
    {"kafka": {"options": {"sasl.password": "x"}}},
    {"settings": {"clickhouse_password": "x"}},
    {"settings": {"SCORELINE_KAFKA": "x"}},
    {"image": {"tag": "latest"}},
    {"strimzi": {"users": {"components": ["admin"]}}},
)


def test_schema_knows_every_value_and_refuses_what_is_none() -> None:
    """Misspelt names, secrets among the settings, what Kafka would not take."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), schema)
    for values in SETS.values():
        jsonschema.validate(yaml.safe_load(values.read_text()), schema)
    for wrong in WRONG:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@needs_helm
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"worker": {"replicas": 3, "processes": 2}}, "3 replicas of 2 processes for 4 partitions"),
        ({"sink": {"replicas": 5}}, "5 replicas for 4 partitions"),
        ({"strimzi": {"users": {"enabled": True}}}, "set strimzi.topics.enabled too"),
    ],
)
def test_chart_refuses_what_cannot_work(values: Manifest, said: str, tmp_path: Path) -> None:
    """With the value that is wrong, and the remedy."""
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(file)
    assert said in refused.value.stderr


def _selects(selector: Manifest, pod: Pod) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= pod.labels.items()


def _settings_of(pod: Pod) -> Settings:
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in pod.environment.items()}
    wanted = ("partitions", "replication_factor", "topic_prefix", "state_horizon_days")
    return load_settings(**{name: fields[name] for name in wanted if name in fields})

"""What is written into the chart's folder, so that it says what the code says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scoreline.access import acls
from scoreline.settings import Settings
from scoreline.topics import declare_topics

FOLDER = Path(__file__).parent
CHART = FOLDER / "scoreline"
KAFKA = CHART / "files/kafka.json"
README = CHART / "README.md"
RENDERED = FOLDER / "rendered"
SETS = {path.stem: path for path in sorted((FOLDER / "values").glob("*.yaml"))}
"""Values with which the chart is rendered and checked, by name."""

_PARTITIONS = 7
_KUBERNETES = "1.37.0"
"""A helm that was built from its sources believes in one of years ago."""
_PREFIX = "PREFIX-"
_HORIZON_MS = "HORIZON_MS"
_TYPES = {"transactional-id": "transactionalId"}
_TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end -->)", re.DOTALL)
_LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?: (?P<value>.+))?$")


def kafka() -> dict[str, Any]:
    """Topics, and the ACLs of each component, with placeholders for what values say: prefix and horizon."""
    settings = Settings(partitions=_PARTITIONS, topic_prefix=_PREFIX)
    topics: list[dict[str, Any]] = []
    for topic in declare_topics(settings).all():
        name = topic.name.removeprefix(_PREFIX)
        config = {key: value for key, value in topic.config.items() if key != "min.insync.replicas"}
        if name == "scores.dedup-changelog":
            config["retention.ms"] = _HORIZON_MS
        topics.append({"name": name, "keyed": topic.partitions == _PARTITIONS, "config": config})
    return {"topics": topics, "acls": _acls(settings)}


def _acls(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for component, granted in acls(settings).items():
        operations: dict[tuple[str, str, str], list[str]] = {}
        for acl in granted:
            resource = _TYPES.get(acl.resource, str(acl.resource)), acl.name, acl.pattern.lower()
            pattern = "prefix" if resource[2] == "prefixed" else "literal"
            operations.setdefault((resource[0], resource[1], pattern), []).append(str(acl.operation))
        found[str(component)] = [
            {"type": kind, "name": name, "patternType": pattern, "operations": sorted(allowed)}
            for (kind, name, pattern), allowed in sorted(operations.items())
        ]
    return found


def kafka_text() -> str:
    """`files/kafka.json`."""
    return json.dumps(kafka(), indent=1) + "\n"


def values_table() -> str:
    """The README's rows: path and default of each value, and the comment above it in values.yaml, where it has one."""
    rows = ("| value | default | meaning |", "|---|---|---|", *(_rows((CHART / "values.yaml").read_text())))
    return "".join(f"{row}\n" for row in rows)


def _rows(text: str) -> Iterator[str]:
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip("# "))
        elif found := _LINE.match(line):
            path = [*path[: len(found["indent"]) // 2], found["key"]]
            if comment:
                default = f"`{found['value']}`" if found["value"] is not None else ""
                yield f"| `{'.'.join(path)}` | {default} | {' '.join(comment).replace('|', chr(92) + '|')} |"
            comment = []


def readme_text() -> str:
    """The README with the values as they are now."""
    return _TABLE.sub(lambda _: values_table(), README.read_text())


def helm() -> str | None:
    """The command, where it is installed."""
    return shutil.which("helm")


def render(values: Path, *arguments: str) -> str:
    """All manifests of the chart with these values, as `helm install` would send them."""
    command = [helm() or "helm", "template", "scoreline", str(CHART), "--namespace", "scores", "--values", str(values)]
    command += ["--kube-version", _KUBERNETES]
    return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout

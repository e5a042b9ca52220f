"""The committed manifests, and what they say of pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from deploy.helm.generate import RENDERED, SETS

Manifest = dict[str, Any]
LONG_RUNNING = ("StatefulSet", "Deployment")
SERVED = {"worker": 9464, "sink": 9464, "gateway": 8080, "ui": 8090}
"""Component → the port of its probes."""


@cache
def manifests(values: str) -> tuple[Manifest, ...]:
    """What the chart makes of this set of values."""
    return tuple(each for each in yaml.safe_load_all((RENDERED / f"{values}.yaml").read_text()) if each)


def everything() -> Iterator[tuple[str, Manifest]]:
    """Set of values and manifest, for all of them."""
    yield from ((values, manifest) for values in SETS for manifest in manifests(values))


def of_kind(values: str, kind: str) -> list[Manifest]:
    """The manifests of a kind."""
    return [each for each in manifests(values) if each["kind"] == kind]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template with what it belongs to."""

    values: str
    owner: Manifest

    @property
    def template(self) -> Manifest:
        return self.owner["spec"]["template"]

    @property
    def spec(self) -> Manifest:
        return self.template["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.template["metadata"]["labels"]

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def container(self) -> Manifest:
        (only,) = self.spec["containers"]
        return only

    @property
    def environment(self) -> dict[str, str]:
        """Variables with a value of their own."""
        return {each["name"]: each["value"] for each in self.container["env"] if "value" in each}

    def __str__(self) -> str:
        return f"{self.values}-{self.component}"


def pods() -> list[Pod]:
    """Every pod of every set."""
    return [Pod(values, each) for values, each in everything() if each["kind"] in (*LONG_RUNNING, "Job")]

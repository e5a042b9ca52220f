"""The packages that an installation brings: from the installed metadata, at the locked versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
PROJECT = "scoreline"
RUNTIME = ("cli", "streams", "sinks", "analytics", "ui", "gateway", "parquet")
"""Extras that run in production; local and dev are for one machine."""
_LOCKED = re.compile(r"^(\S+==[^\\\n]+)", re.MULTILINE)

_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_WRITTEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MPL-2.0": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
}
_LOOKED_UP = {
    # its GPL covers tools/editors/emacs/rst.el, which is in no wheel
    "docutils": "LicenseRef-Public-Domain AND BSD-2-Clause AND 0BSD",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "uvloop": "MIT OR Apache-2.0",
    "venusian": "LicenseRef-Repoze",
}
"""Packages whose metadata does not say it in a word, as read in their licence files."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of an installation."""

    name: str
    version: str
    licence: str
    """SPDX expression; `unknown` where the metadata says nothing that is understood."""
    needs: tuple[str, ...]
    """Names of the packages that it needs directly."""
    extras: tuple[str, ...]
    """Extras of scoreline that bring it; `base` is the installation without any."""

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def locked() -> dict[str, str]:
    """Version of every package that the lock has for this Python and machine."""
    lines = [Requirement(line) for line in _LOCKED.findall(LOCK.read_text())]
    return {
        canonicalize_name(line.name): str(line.specifier).removeprefix("==")
        for line in lines
        if line.marker is None or line.marker.evaluate()
    }


def runtime_packages() -> list[Package]:
    """Everything that the runtime extras bring on this machine, by name; scoreline itself is left out.

    Raises ValueError when something is installed in another version than the lock says.
    """
    reached = {extra: _closure(() if extra == "base" else (extra,)) for extra in ("base", *RUNTIME)}
    versions = locked()
    packages: list[Package] = []
    for name in sorted(set().union(*reached.values()) - {PROJECT}):
        found = distribution(name)
        if found.version != versions.get(name):
            raise ValueError(f"{name} {found.version} is installed, the lock says {versions.get(name)}: make install")
        needs = {need for extra in reached if name in reached[extra] for need in reached[extra][name]}
        extras = tuple(extra for extra in reached if name in reached[extra])
        packages.append(Package(name, found.version, licence_of(name, found.metadata), tuple(sorted(needs)), extras))
    return packages


def direct_needs() -> list[str]:
    """Names of what scoreline itself needs, with all runtime extras."""
    return sorted(_closure(RUNTIME)[PROJECT] - {PROJECT})


def licence_of(name: str, metadata: PackageMetadata) -> str:
    """The licence as SPDX expression: as the package states it, as its text or its classifiers are understood."""
    stated = metadata.get("License-Expression")
    if stated or name in _LOOKED_UP:
        return stated or _LOOKED_UP[name]
    prefix = "License :: OSI Approved :: "
    classified = {c.removeprefix(prefix) for c in metadata.get_all("Classifier") or () if c.startswith(prefix)}
    written = _WRITTEN.get((metadata.get("License") or "").strip())
    understood = {_CLASSIFIED.get(each, "unknown") for each in classified}
    return written or (understood.pop() if len(understood) == 1 else "unknown")


def _closure(extras: Sequence[str]) -> Mapping[str, set[str]]:
    """Package → packages that it needs, of all that scoreline with these extras needs."""
    edges: dict[str, set[str]] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(PROJECT, frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        edges.setdefault(name, set())
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in wanted or {""}):
                continue
            need = canonicalize_name(requirement.name)
            edges[name] |= {need} - {name}
            waiting.append((need, frozenset(requirement.extras)))
    return edges

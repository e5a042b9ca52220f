"""Reads our Dockerfile, so that what is checked is what it says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT

DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
_COMMENT = re.compile(r"^\s*#.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a stage, its continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The text as a shell splits it."""
        return shlex.split(self.text)


Stage = tuple[Instruction, ...]


def stages(dockerfile: Path = DOCKERFILE) -> tuple[Stage, ...]:
    """The stages in order, each from its FROM on; what stands before the first FROM is left out."""
    text = _COMMENT.sub("", dockerfile.read_text()).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(name, " ".join(rest.split())))
    return tuple(map(tuple, found))


def of(stage: Stage, name: str) -> list[Instruction]:
    """The instructions of this name."""
    return [instruction for instruction in stage if instruction.name == name]


def environment(stage: Stage) -> dict[str, str]:
    """What its ENV instructions set; references to other variables stand as they are."""
    return dict(word.split("=", 1) for instruction in of(stage, "ENV") for word in instruction.words)

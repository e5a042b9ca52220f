"""Checks what our documents point at: `python -m tests.documents` fails on a dead link or a path that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:producers|streams|sinks|deploy|tests|docs|\.ci)/[^`\s*{<]*)`")
_TEST = re.compile(r"`(test_\w+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


@cache
def tests() -> frozenset[str]:
    """The name of every test."""
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))


def documents() -> list[Path]:
    """Every Markdown file that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in listed]


def faults(document: Path) -> Iterator[str]:
    """What in `document` points at nothing: links to files and headings, and paths in backticks."""
    text = document.read_text()
    prose = _FENCE.sub("", text)
    for target in _LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not file.exists():
            yield f"link to {target}: no such file"
        elif anchor and anchor not in anchors(file):
            yield f"link to {target}: no such heading"
    for path in _PATH.findall(prose):
        if not (ROOT / path).exists():
            yield f"`{path}`: no such file or folder"
    for name in _TEST.findall(prose):
        if name not in tests():
            yield f"`{name}`: no such test"


def anchors(document: Path) -> set[str]:
    """The headings of a document as link targets, the way code hosts write them."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> int:
    found = [f"{document.relative_to(ROOT)}: {fault}" for document in documents() for fault in faults(document)]
    sys.stdout.write("".join(f"{line}\n" for line in found) or "documents: no dead links\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

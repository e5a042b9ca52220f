"""A document whose commands and Python are run, and their output put in the place of what stood there.

A block ```console holds lines that begin with `$ scoreline`, each with its output below. A block ```python is run; its
output is the block ```text after it, if there is one. `<!-- first N -->` on the line before a block of output cuts it.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from scoreline import cli

_BLOCK = re.compile(
    r"(?P<cut><!-- first (?P<first>\d+) -->\n)?"
    r"(?:```console\n(?P<console>.*?)^```$|```python\n(?P<python>.*?)^```$(?P<between>\n\n```text\n.*?^```$)?)",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (.*?[^\\])$", re.MULTILINE | re.DOTALL)


def regenerate(document: str, folder: Path) -> str:
    """The document with what its commands print now. They run in `folder`, with the settings of this process."""
    names: dict[str, Any] = {}

    def block(found: re.Match[str]) -> str:
        first = int(found["first"] or sys.maxsize)
        head = found["cut"] or ""
        if found["console"] is not None:
            shown = "".join(f"$ {command}\n{_cut(run(command), first)}" for command in _commands(found["console"]))
            return f"{head}```console\n{shown}```"
        printed = _cut(executed(found["python"], names), first)
        return f"{head}```python\n{found['python']}```" + (f"\n\n```text\n{printed}```" if found["between"] else "")

    with contextlib.chdir(folder):
        return _BLOCK.sub(block, document)


def _commands(console: str) -> Iterator[str]:
    for found in _COMMAND.finditer(console):
        yield found[1]


def run(command: str) -> str:
    """What a command shows on a terminal: output, then what it says beside it."""
    out, beside = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    argv = shlex.split(command.replace("\\\n", " "))
    if argv[0] != "scoreline":
        raise ValueError(f"the document can run scoreline only, not {command!r}")
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(beside),
        contextlib.suppress(SystemExit),
    ):
        cli.main()
    out.seek(0)
    return out.read() + beside.getvalue()


def executed(code: str, names: dict[str, Any]) -> str:
    """What Python prints that goes on where the earlier blocks ended."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/analytics.md", "exec"), names)
    return out.getvalue()


def _cut(text: str, first: int) -> str:
    lines = [f"{line.rstrip()}\n" for line in text.splitlines()]
    return "".join(lines if len(lines) <= first else [*lines[:first], "…\n"])

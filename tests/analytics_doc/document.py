"""A document whose commands and Python are run, and their output put in the place of what stood there.

A block ```console holds lines that begin with `$ scoreline` or `$ curl`, each with its output below; curl asks a
running server in the place of `SERVER`, with its key as $KEY. A block ```python is run; its output is the block ```text
after it, if there is one. `<!-- first N -->` on the line before a block of output cuts it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
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


SERVER = "http://localhost:8090"
"""Where the document's reader has it."""


def regenerate(document: str, folder: Path, server: Mapping[str, str]) -> str:
    """The document with what its commands print now. They run in `folder`, with the settings of this process.

    `server` is the one to be asked over HTTP: `url`, and a `key` that may read.
    """
    names: dict[str, Any] = {}

    def block(found: re.Match[str]) -> str:
        first = int(found["first"] or sys.maxsize)
        head = found["cut"] or ""
        if found["console"] is not None:
            shown = "".join(f"$ {c}\n{_cut(run(c, server), first)}" for c in _commands(found["console"]))
            return f"{head}```console\n{shown}```"
        printed = _cut(executed(found["python"], names), first)
        return f"{head}```python\n{found['python']}```" + (f"\n\n```text\n{printed}```" if found["between"] else "")

    with contextlib.chdir(folder):
        return _BLOCK.sub(block, document)


def _commands(console: str) -> Iterator[str]:
    for found in _COMMAND.finditer(console):
        yield found[1]


def run(command: str, server: Mapping[str, str]) -> str:
    """What a command shows on a terminal: output, then what it says beside it."""
    if command.startswith("curl "):
        return _shell(command.replace(SERVER, server["url"]), server["key"])
    out, beside = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    argv = shlex.split(command.replace("\\\n", " "))
    if argv[0] != "scoreline":
        raise ValueError(f"the document can run scoreline and curl only, not {command!r}")
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(beside),
        contextlib.suppress(SystemExit),
    ):
        cli.main()
    out.seek(0)
    return out.read() + beside.getvalue()


def _shell(command: str, key: str) -> str:
    """What a line of shell prints; python is the one that runs this."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={"PATH": path, "KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"exit status {done.returncode} of {command!r}: {done.stderr}")
    return done.stdout


def executed(code: str, names: dict[str, Any]) -> str:
    """What Python prints that goes on where the earlier blocks ended."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/analytics.md", "exec"), names)
    return out.getvalue()


def _cut(text: str, first: int) -> str:
    lines = [f"{line.rstrip()}\n" for line in text.splitlines()]
    return "".join(lines if len(lines) <= first else [*lines[:first], "…\n"])

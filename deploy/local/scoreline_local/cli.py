"""`scoreline up | down | status`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import MutuallyExclusive
from rich.console import Console

from scoreline.commands.terminal import print_json, print_table
from scoreline_local import stack
from scoreline_local.plan import Endpoints
from scoreline_local.recipe import PARTS
from scoreline_local.settings import load_local_settings

_OUTPUT = Group("Output", validator=MutuallyExclusive())


def up(
    *,
    data_dir: Path | None = None,
    kafka_port: int | None = None,
    clickhouse_port: int | None = None,
    gateway_port: int | None = None,
    ui_port: int | None = None,
    brokers: Literal[1, 3] | None = None,
    only: str | None = None,
    secure: Annotated[bool | None, Parameter(negative=())] = None,
    fresh: Annotated[bool, Parameter(negative=())] = False,
    foreground: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Start Kafka, ClickHouse, worker, sink, gateway and page on this machine, and return when all are ready.

    A supervisor stays behind and starts again whatever dies. `scoreline status` tells where the parts answer,
    `scoreline down` stops them. Data outlives both.

    Parameters
    ----------
    data_dir
        Folder of all data and logs; by default SCORELINE_LOCAL_DATA_DIR, else .scoreline.
    kafka_port
        Kafka's port, and the next two with three brokers; 0 picks free ones; by default as last time, at first 9092.
    clickhouse_port
        ClickHouse's HTTP port; 0 picks a free one; by default as last time, at first 8123.
    gateway_port
        The gateway's port; 0 picks a free one; by default as last time, at first 8080.
    ui_port
        The page's port, and of the API for questions; 0 picks a free one; by default as last time, at first 8090.
    brokers
        1, or 3 for a cluster that keeps every record three times; by default as last time, at first 1.
    only
        Start these parts only, comma-separated: kafka, clickhouse, topics, migrate, worker, sink, gateway, ui.
    secure
        Let nobody into Kafka without a password or certificate, and each component do only what it must; by default as
        last time, at first everybody on this machine is let in. Passwords are in the folder, below secure/users.
    fresh
        Delete the folder's data first.
    foreground
        Stay in the terminal; Ctrl-C stops everything.
    """
    settings = load_local_settings(
        data_dir=data_dir,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        gateway_port=gateway_port,
        ui_port=ui_port,
        secure=secure,
    )
    parts = tuple(part.strip() for part in only.split(",")) if only else PARTS
    terminal = _Terminal(data_dir)
    if fresh:
        stack.fresh(settings.data_dir)
    if foreground:
        stack.run(settings, parts=parts, brokers=brokers, tell=terminal.tell)
        return
    with terminal.console.status("starting"):
        endpoints = stack.up(settings, parts=parts, brokers=brokers, tell=terminal.tell)
    terminal.show_endpoints(endpoints)


def down(*, data_dir: Path | None = None) -> None:
    """Stop the local stack: page, gateway, worker and sink first, then ClickHouse and Kafka. Data stays.

    Parameters
    ----------
    data_dir
        Folder of the stack to stop; by default SCORELINE_LOCAL_DATA_DIR, else .scoreline.
    """
    terminal = _Terminal(data_dir)
    with terminal.console.status("stopping"):
        stack.down(load_local_settings(data_dir=data_dir).data_dir, terminal.tell)


def status(
    *,
    data_dir: Path | None = None,
    json: Annotated[bool, Parameter(group=_OUTPUT, negative=())] = False,
    env: Annotated[bool, Parameter(group=_OUTPUT, negative=())] = False,
) -> None:
    """Tell what runs, where it answers, and how far worker and sink are behind. Exit status 1 when nothing runs.

    Parameters
    ----------
    data_dir
        Folder of the stack; by default SCORELINE_LOCAL_DATA_DIR, else .scoreline.
    json
        Print one JSON object.
    env
        Print the settings for a shell: eval "$(scoreline status --env)"
    """
    path = load_local_settings(data_dir=data_dir).data_dir
    terminal = _Terminal(data_dir)
    if env:
        exports = stack.endpoints(path).environment
        sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())
        sys.exit(0 if exports else 1)
    running = stack.status(path)
    if json:
        print_json(running.model_dump(mode="json"))
    elif running.processes:
        terminal.show_status(running)
    else:
        terminal.tell(f"nothing runs on {path}; `scoreline up` starts it")
    sys.exit(0 if running.processes else 1)


class _Terminal:
    """What people read: colours and columns where there is a terminal, plain lines where there is none."""

    def __init__(self, data_dir: Path | None) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._flag = "" if data_dir is None else f" --data-dir {shlex.quote(str(data_dir))}"

    def tell(self, line: str) -> None:
        self.console.print(line, markup=False)

    def show_status(self, running: stack.StackStatus) -> None:
        lags = {name: "" if lag is None else f"{lag:,}" for name, lag in running.lag.items()}
        rows = [
            (each.name, each.state, str(each.pid or ""), str(each.restarts), lags.get(each.name, ""))
            for each in running.processes
        ]
        print_table(("process", "state", "pid", "restarts", "lag"), rows, frozenset({"pid", "restarts", "lag"}))
        self.tell("")
        where = running.model_dump(include={"kafka", "clickhouse", "gateway", "ui", "observe"})
        self.show_endpoints(Endpoints.model_validate(where))

    def show_endpoints(self, endpoints: Endpoints) -> None:
        if endpoints.kafka:
            proof = "  (by password: --data-dir's secure/users; rights: scoreline acls)" if endpoints.admin else ""
            self.tell(f"Kafka       {endpoints.kafka}{proof}")
        if endpoints.clickhouse:
            at = endpoints.clickhouse
            self.tell(f"ClickHouse  http://{at.host}:{at.port}  user {at.user}, database {at.database}")
        if endpoints.gateway:
            self.tell(f"Gateway     {endpoints.gateway}  (a key for it: scoreline keys create --scope write)")
        if endpoints.ui:
            self.tell(f"Page        {endpoints.ui}/ui  (questions over HTTP: {endpoints.ui}/docs)")
        for part, url in endpoints.observe.items():
            self.tell(f"Metrics     {url}/metrics  ({part}; also /healthz, /readyz)")
        self.tell(f'Settings for this shell:  eval "$(scoreline status --env{self._flag})"')

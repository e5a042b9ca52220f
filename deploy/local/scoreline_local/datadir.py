"""The data folder of a stack: what lies where, the marker that makes it ours, the locks that say who works on it."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scoreline.errors import StackError

_POLL_S = 0.05
_MARKER_TEXT = "Data of a local scoreline stack. `scoreline up --fresh` empties this folder.\n"


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below the data folder. Nobody else writes here."""

    root: Path
    """Absolute."""

    @property
    def marker(self) -> Path:
        return self.root / "scoreline-local-stack"

    @property
    def supervisor_lock(self) -> Path:
        """Held for as long as the supervisor lives."""
        return self.root / "supervisor.lock"

    @property
    def command_lock(self) -> Path:
        """Held by `up` while it prepares and starts, so that two of them do not mix."""
        return self.root / "up.lock"

    @property
    def shape(self) -> Path:
        """Ports and brokers, remembered from the last `up`."""
        return self.root / "shape.json"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def run(self) -> Path:
        """Ready files."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def worker_state(self) -> Path:
        return self.root / "state"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def clickhouse(self) -> Path:
        return self.root / "clickhouse"

    @property
    def clickhouse_password(self) -> Path:
        return self.clickhouse / "password"

    @property
    def secure(self) -> Path:
        """Certificates and passwords, where nobody is let in without."""
        return self.root / "secure"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def ready_file(self, process: str) -> Path:
        return self.run / f"{process}.ready"


def data_dir(path: Path) -> DataDir:
    """The data folder at `path`, which need not exist."""
    return DataDir(path.expanduser().resolve())


def adopt(data: DataDir) -> None:
    """Make the folder, or take it over when it is ours or holds nothing that is not ours.

    Raises StackError: the folder holds other things, or cannot be written.
    """
    try:
        data.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        strangers = sorted({path.name for path in data.root.iterdir()} - _own_names(data))
        if strangers and not data.marker.is_file():
            raise StackError(
                f"{data.root} holds {', '.join(strangers[:3])} and was not made by `scoreline up`; "
                "name another folder by --data-dir or SCORELINE_LOCAL_DATA_DIR"
            )
        data.marker.write_text(_MARKER_TEXT, "ascii")
        for folder in (data.run, data.logs, data.worker_state, data.kafka, data.clickhouse):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"{data.root} cannot be used: {error.strerror}; name another folder by --data-dir or "
            "SCORELINE_LOCAL_DATA_DIR"
        ) from error


def erase(data: DataDir) -> None:
    """Delete what a stack keeps, and nothing else; a folder that does not exist is empty already.

    Raises StackError: the folder has no marker, so it is not ours to empty.
    """
    if not data.root.exists():
        return
    if not data.marker.is_file() and any(data.root.iterdir()):
        raise StackError(f"{data.root} was not made by `scoreline up` (no {data.marker.name} in it): not emptied")
    for path in _kept(data):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _kept(data: DataDir) -> tuple[Path, ...]:
    folders = (data.run, data.logs, data.worker_state, data.kafka, data.clickhouse, data.secure)
    return (*folders, data.shape, data.plan, data.state)


def _own_names(data: DataDir) -> set[str]:
    return {path.name for path in (*_kept(data), data.marker, data.supervisor_lock, data.command_lock)}


def write_private(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, readable by this user only."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    part.touch(mode=0o600)
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def is_locked(path: Path) -> bool:
    """Whether a living process holds this lock."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Generator[None]:
    """Hold this lock; it ends with the process at the latest, so a killed holder never blocks the next.

    Raises StackError: another process still holds it after `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise StackError(f"{path} is held by another process") from error
            time.sleep(_POLL_S)
        yield

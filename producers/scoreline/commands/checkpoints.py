"""How far an import got, on disk, so that the next call of the same import goes on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from scoreline.errors import SettingsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to here is done: acknowledged, or invalid."""

    rows: int = 0
    """Rows read from the start of the file."""
    acknowledged: int = 0
    """Scores among them that the broker acknowledged."""
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Journal:
    """The file that holds the checkpoint of one import: one input file, mapping and target."""

    path: Path

    def load(self) -> Checkpoint:
        """The last checkpoint; the start of the file where there is none."""
        try:
            return Checkpoint(**json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return Checkpoint()
        except (ValueError, TypeError):
            log.warning("%s is damaged: the import starts over, scores that were sent before are duplicates", self.path)
            return Checkpoint()

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint, atomically. Raises SettingsError where nothing can be written."""
        partial = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(checkpoint)))
            partial.replace(self.path)
        except OSError as error:
            raise SettingsError(
                f"the import cannot write down how far it got: {error}; set XDG_STATE_HOME to a writable folder"
            ) from error

    def remove(self) -> None:
        """Forget the import: it is complete."""
        self.path.unlink(missing_ok=True)


def journal_of(file: Path, *what: object) -> Journal:
    """The journal of importing `file` as it is now; `what` is everything else that makes it this import."""
    stat = file.stat()
    identity = json.dumps([str(file.resolve()), stat.st_size, stat.st_mtime_ns, *what])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return Journal(_state_home() / "scoreline" / "imports" / f"{digest}.json")


def _state_home() -> Path:
    home = os.environ.get("XDG_STATE_HOME", "")
    return Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"

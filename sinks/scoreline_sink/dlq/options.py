"""Options that the dead-letter commands share, and what they become."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ParamSpec, TypeVar

from cyclopts import Group, Parameter

from scoreline.commands.moments import moment_of
from scoreline.commands.options import Flag
from scoreline.commands.terminal import FAILED, refuse
from scoreline.errors import QueryError
from scoreline.remedies import REMEDIES
from scoreline_sink.dlq.filters import Filter
from scoreline_sink.dlq.letters import references_of

P = ParamSpec("P")
T = TypeVar("T")

_WHICH = Group("Which letters; of several values for one option any will do", sort_key=1)
_Several = Parameter(negative="", consume_multiple=True, group=_WHICH)


@Parameter(name="*")
@dataclass(frozen=True)
class Choice:
    """Which letters."""

    reason: Annotated[list[str] | None, _Several] = None
    """Why they were rejected."""
    project: Annotated[list[str] | None, _Several] = None
    """Their project."""
    service: Annotated[list[str] | None, _Several] = None
    """The service that sent them, as far as the value says."""
    name: Annotated[list[str] | None, _Several] = None
    """Name of the score."""
    id: Annotated[list[str] | None, _Several] = None
    """Id of the score."""
    since: Annotated[str | None, Parameter(group=_WHICH)] = None
    """Rejected then or later: 30s, 15m, 6h, 7d or 2w ago, a date (UTC), or RFC 3339."""
    until: Annotated[str | None, Parameter(group=_WHICH)] = None
    """Rejected earlier."""


All = Annotated[Flag, Parameter(name="--all", group=_WHICH)]
Yes = Annotated[Flag, Parameter(name=("--yes", "-y"))]


def filter_of(choice: Choice | None, letters: Sequence[str]) -> Filter:
    """The filter that options and letters say. Ends with the status of wrong usage where they cannot be read."""
    choice = choice or Choice()
    unknown = [reason for reason in choice.reason or () if reason not in REMEDIES]
    if unknown:
        refuse(f"--reason {unknown[0]}: no such reason; there are {', '.join(REMEDIES)}")
    now = datetime.now(UTC)
    return Filter(
        letters=understood(references_of, letters),
        reasons=tuple(choice.reason or ()),
        projects=tuple(choice.project or ()),
        services=tuple(choice.service or ()),
        names=tuple(choice.name or ()),
        ids=tuple(choice.id or ()),
        since=None if choice.since is None else understood(moment_of, choice.since, now),
        until=None if choice.until is None else understood(moment_of, choice.until, now),
    )


def understood(read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What `read` makes of an option. Ends with the status of wrong usage where it raises QueryError."""
    try:
        return read(*arguments, **named)
    except QueryError as error:
        refuse(str(error))


def confirm(deed: str, letters: int) -> None:
    """Ask before a deed on more than one letter. Ends the process unless the answer is yes."""
    if letters <= 1:
        return
    if not sys.stdin.isatty():
        refuse(f"this would {deed}; give --yes to do so without being asked")
    sys.stderr.write(f"{deed}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        sys.stderr.write("nothing done\n")
        raise SystemExit(FAILED)

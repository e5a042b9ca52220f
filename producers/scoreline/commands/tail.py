"""`scoreline tail`: enriched or rejected scores as they arrive."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, cast

from confluent_kafka import Consumer, Message
from cyclopts import Parameter
from cyclopts.types import PositiveInt

from scoreline.commands.broker import reach_broker
from scoreline.commands.conditions import Condition, condition_of
from scoreline.commands.lines import REJECTED_FIELDS, Line, enriched_line, rejected_line
from scoreline.commands.moments import moment_of
from scoreline.commands.options import Flag, Json
from scoreline.commands.reading import is_end, open_topic, read
from scoreline.commands.terminal import refuse
from scoreline.enriched import EnrichedScore
from scoreline.errors import MalformedRecord, QueryError
from scoreline.kafka import Start
from scoreline.rejections import Headers
from scoreline.settings import load_settings
from scoreline.topics import declare_topics

log = logging.getLogger(__name__)


def tail(
    *,
    name: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    project: str | None = None,
    where: Annotated[list[str] | None, Parameter(negative="")] = None,
    rejected: Flag = False,
    from_beginning: Flag = False,
    since: str | None = None,
    limit: Annotated[PositiveInt | None, Parameter(name="--max")] = None,
    as_json: Json = False,
) -> None:
    """Show enriched scores as they arrive, until Ctrl-C; takes part in no consumer group and commits nothing.

    For example:

        scoreline tail --name toxicity --where 'value>0.8' --where metadata.model=large
        scoreline tail --where status=failed --since 1h
        scoreline tail --rejected --where reason=out_of_range

    Parameters
    ----------
    name
        Only scores with one of these names.
    project
        Only scores of this project.
    where
        Only records for which this holds: a field as --json shows it, metadata.KEY or lookups.FIELD.ATTRIBUTE, then
        one of = < > and a value. May be given again; all have to hold.
    rejected
        Show rejected scores and why they were rejected.
    from_beginning
        Begin with the oldest record that the topic holds.
    since
        Begin with the records since then: 15m, 6h, 7d, 2026-01-31, 2026-01-31T12:00:00Z.
    limit
        End after so many scores.
    as_json
        Print records as JSON, one a line; rejected ones with reason, detail, origin and the original key and value.
    """
    fields = REJECTED_FIELDS if rejected else frozenset(EnrichedScore.model_fields)
    try:
        wanted = Wanted(frozenset(name or ()), project, tuple(condition_of(text, fields) for text in where or ()))
        start = _start(since, from_beginning=from_beginning)
    except QueryError as error:
        refuse(str(error))
    settings = load_settings()
    reach_broker(settings)
    topics = declare_topics(settings)
    topic, line_of = (topics.rejected.name, _rejected) if rejected else (topics.enriched.name, _enriched)
    try:
        with open_topic(settings, topic, start) as consumer:
            if start == "end":
                sys.stderr.write(f"waiting for {topic} at {settings.kafka}, Ctrl-C ends\n")
            write = json_writer() if as_json else line_writer()
            for line in islice(wanted.of(_lines(consumer, line_of)), limit):
                write(line)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Python flushes stdout once more at exit, into the same broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which scores to show; no name, no project and no condition mean all."""

    names: frozenset[str]
    project: str | None
    conditions: tuple[Condition, ...] = ()

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Those of `lines` that are wanted."""
        for line in lines:
            if (not self.names or line.name in self.names) and self.project in (None, line.project):
                record: dict[str, Any] = json.loads(line.json) if self.conditions else {}
                if all(condition.holds(record) for condition in self.conditions):
                    yield line


def _start(since: str | None, *, from_beginning: bool) -> Start:
    if since is None:
        return "beginning" if from_beginning else "end"
    if from_beginning:
        raise QueryError("--since and --from-beginning: give one of them")
    return moment_of(since, datetime.now(UTC))


def _lines(consumer: Consumer, line_of: Callable[[Message], Line]) -> Iterator[Line]:
    for batch in read(consumer):
        for message in batch:
            if is_end(message):
                continue
            try:
                yield line_of(message)
            except MalformedRecord as error:
                log.warning("%s[%s]@%s: %s", message.topic(), message.partition(), message.offset(), error)


def _enriched(message: Message) -> Line:
    return enriched_line(message.value() or b"")


def _rejected(message: Message) -> Line:
    return rejected_line(message.key(), message.value(), cast(Headers, message.headers() or []))


def json_writer() -> Callable[[Line], None]:
    """Writes each record's JSON on a line."""

    def write(line: Line) -> None:
        sys.stdout.buffer.write(line.json + b"\n")
        sys.stdout.buffer.flush()

    return write


def line_writer() -> Callable[[Line], None]:
    """Writes each record for people: coloured and cut to the width of a terminal, whole everywhere else."""
    if not sys.stdout.isatty():

        def write(line: Line) -> None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

        return write
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def show(line: Line) -> None:
        parts = ((text + "  ", style) for text, style in line.parts)
        console.print(Text.assemble(*parts), no_wrap=True, overflow="ellipsis")

    return show

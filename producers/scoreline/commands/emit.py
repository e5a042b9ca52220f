"""`scoreline emit`: one score from options, or many raw records from stdin."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, BinaryIO, Literal, TextIO

import uuid_utils
from cyclopts import Group, Parameter

from scoreline.access import Component
from scoreline.client import Client, origin_of
from scoreline.commands.broker import reach_broker
from scoreline.commands.coercion import timestamp_of, value_of
from scoreline.commands.options import Flag, Json
from scoreline.commands.readers import json_rows, read_lines
from scoreline.commands.sending import settle
from scoreline.commands.terminal import FAILED, print_json, refuse
from scoreline.errors import InvalidScore
from scoreline.events import SCHEMA_VERSION, Status
from scoreline.kafka import require_topics
from scoreline.rejections import Rejection
from scoreline.settings import Settings, load_settings

IDS_HELD_MAX = 10_000
"""Ids that wait for their acknowledgement before they are printed."""

_WHAT = Group("The score", sort_key=1)
_TARGET = Group("What was judged: at least one of trace, session and dataset run", sort_key=2)
_WHO = Group("Who judged", sort_key=3)
_WAY = Group("Way in, way out", sort_key=4)


def emit(
    *,
    name: Annotated[str | None, Parameter(group=_WHAT)] = None,
    value: Annotated[str | None, Parameter(group=_WHAT, allow_leading_hyphen=True)] = None,
    error: Annotated[str | None, Parameter(group=_WHAT)] = None,
    data_type: Annotated[Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"] | None, Parameter(group=_WHAT)] = None,
    config_id: Annotated[str | None, Parameter(group=_WHAT)] = None,
    comment: Annotated[str | None, Parameter(group=_WHAT)] = None,
    metadata: Annotated[list[str] | None, Parameter(group=_WHAT, negative="", consume_multiple=True)] = None,
    timestamp: Annotated[str | None, Parameter(group=_WHAT)] = None,
    score_id: Annotated[str | None, Parameter(group=_WHAT)] = None,
    trace_id: Annotated[str | None, Parameter(group=_TARGET)] = None,
    observation_id: Annotated[str | None, Parameter(group=_TARGET)] = None,
    session_id: Annotated[str | None, Parameter(group=_TARGET)] = None,
    dataset_run_id: Annotated[str | None, Parameter(group=_TARGET)] = None,
    source: Annotated[Literal["API", "EVAL", "ANNOTATION"] | None, Parameter(group=_WHO)] = None,
    evaluator_name: Annotated[str | None, Parameter(group=_WHO)] = None,
    evaluator_version: Annotated[str | None, Parameter(group=_WHO)] = None,
    evaluator_model: Annotated[str | None, Parameter(group=_WHO)] = None,
    author: Annotated[str | None, Parameter(group=_WHO)] = None,
    project: Annotated[str | None, Parameter(group=_WAY)] = None,
    stdin: Annotated[Flag, Parameter(group=_WAY)] = False,
    strict: Annotated[Flag, Parameter(group=_WAY)] = False,
    as_json: Annotated[Json, Parameter(group=_WAY)] = False,
) -> None:
    """Emit one score, or many from stdin; wait for the broker's acknowledgement and print the ids.

    For example:

        scoreline emit --name accuracy --value 0.92 --trace-id t-1 --metadata model=m-7

    Parameters
    ----------
    name
        The score's name.
    value
        A number, true, false or a category: typed as it looks, unless --data-type CATEGORICAL.
    error
        In place of a value: why the judge failed. The score counts as failed.
    data_type
        Default: the config's, else as the value looks.
    config_id
        The score config that the score has to fit.
    comment
        Free text.
    metadata
        KEY=VALUE, one or more; values are text.
    timestamp
        When it was judged: RFC 3339 with zone, or seconds since 1970. Default: now.
    score_id
        Identity: the same id again is a duplicate. Default: a new one.
    trace_id
        The trace that was judged.
    observation_id
        The observation inside --trace-id.
    session_id
        The session that was judged.
    dataset_run_id
        The dataset run that was judged.
    source
        What kind of judge. Default: API.
    evaluator_name
        What judged, where it was a program.
    evaluator_version
        Its version.
    evaluator_model
        The model it asked.
    author
        The person who judged.
    project
        Default: SCORELINE_PROJECT.
    stdin
        Read raw records from stdin instead, a JSON object a line. A broken line is reported with its number and
        counted, the others are sent; what a record leaves out (id, project, time, origin) is filled in.
    strict
        Exit with 1 when any line of stdin was invalid.
    as_json
        Print exactly {"sent", "acknowledged", "invalid"} instead of ids.
    """
    fields = _given(
        score_id=score_id,
        name=name,
        value=value,
        status=None if error is None else Status.FAILED.value,
        error=error,
        data_type=data_type,
        trace_id=trace_id,
        observation_id=observation_id,
        session_id=session_id,
        dataset_run_id=dataset_run_id,
        comment=comment,
        metadata=_pairs(metadata or ()),
        config_id=config_id,
        timestamp=timestamp,
        source=source,
        evaluator=_given(name=evaluator_name, version=evaluator_version, model=evaluator_model) or None,
        author=author,
    )
    if stdin and fields:
        refuse(f"--stdin takes whole records from stdin; drop the options for {', '.join(fields)}")
    if not stdin and (name is None or (value is None) == (error is None)):
        refuse("--name and one of --value and --error are required, or --stdin")
    settings = load_settings() if project is None else load_settings(project=project)
    if stdin:
        counts = _emit_lines(sys.stdin.buffer, settings, None if as_json else sys.stdout)
    else:
        counts = _emit_one(fields, settings, None if as_json else sys.stdout)
    if as_json:
        print_json(asdict(counts))
    if strict and counts.invalid:
        raise SystemExit(FAILED)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the scores that were given."""

    sent: int
    acknowledged: int
    invalid: int


def _emit_one(fields: dict[str, Any], settings: Settings, ids: TextIO | None) -> Counts:
    typed = dict(fields)
    if "value" in fields:
        typed["value"] = value_of(fields["value"], fields.get("data_type"))
    if "timestamp" in fields:
        typed["timestamp"] = timestamp_of(fields["timestamp"])
    with _ready_client(settings) as client:
        event = client.emit(_complete(typed, settings))
        settle(client)
    if ids is not None:
        ids.write(event.score_id + "\n")
    return Counts(client.delivery.sent, client.delivery.acknowledged, 0)


def _emit_lines(lines: BinaryIO, settings: Settings, ids: TextIO | None) -> Counts:
    """Send a raw record for each line; broken lines go to stderr. Writes ids once their scores are acknowledged."""
    invalid = 0
    held: list[str] = []

    def settled() -> None:
        settle(client)
        if ids is not None:
            ids.writelines(f"{score_id}\n" for score_id in held)
            ids.flush()
        held.clear()

    with _ready_client(settings) as client:
        for row in json_rows(read_lines(lines)):
            try:
                if isinstance(row.content, Rejection):
                    raise InvalidScore(row.content)
                held.append(client.emit(_complete(row.content, settings)).score_id)
            except InvalidScore as error:
                invalid += 1
                sys.stderr.write(f"line {row.line}: {error}\n")
            if len(held) >= IDS_HELD_MAX:
                settled()
        settled()
    return Counts(client.delivery.sent, client.delivery.acknowledged, invalid)


def _ready_client(settings: Settings) -> Client:
    reach_broker(settings)
    require_topics(settings, Component.CLIENT)
    return Client(settings)


def _complete(record: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """A raw record with what it leaves out: id, time, origin."""
    return {
        "score_id": str(uuid_utils.uuid7()),
        "timestamp": datetime.now(UTC).isoformat(),
        "schema_version": SCHEMA_VERSION,
        **origin_of(settings),
        **record,
    }


def _given(**options: Any) -> dict[str, Any]:
    return {name: option for name, option in options.items() if option is not None}


def _pairs(texts: Sequence[str]) -> dict[str, str] | None:
    pairs = [text.partition("=") for text in texts]
    broken = [key for key, separator, _ in pairs if not separator or not key]
    if broken:
        refuse(f"--metadata {broken[0]}: expected KEY=VALUE")
    return {key: text for key, _, text in pairs} or None

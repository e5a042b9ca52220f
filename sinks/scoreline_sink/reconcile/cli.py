"""The command `scoreline reconcile`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt

from scoreline.commands.broker import reach_broker
from scoreline.commands.moments import moment_of
from scoreline.commands.options import Json
from scoreline.commands.terminal import FAILED, print_json, refuse
from scoreline.errors import QueryError
from scoreline.settings import load_settings


def reconcile(
    *,
    partition: Annotated[list[int] | None, Parameter(negative="", consume_multiple=True)] = None,
    since: str | None = None,
    from_offset: NonNegativeInt | None = None,
    wait: NonNegativeFloat = 60.0,
    max_culprits: NonNegativeInt = 20,
    as_json: Json = False,
) -> None:
    """Prove that every raw record is exactly one of stored, duplicate, rejected.

    Compares each record of scores.raw, from --since or --from-offset (else the oldest that the topic holds) to the
    last one that the worker has settled, with what ClickHouse holds of it. Changes nothing, and can run beside a
    pipeline at work. Exit status 1 and the culprits where something does not add up. For example, every day:

        scoreline reconcile --since 25h

    A record in neither table must repeat the id and the content (all but metadata) of an earlier stored one. Where
    that can be older than what tables and topic hold, the record counts as unverifiable, not as a fault.

    Parameters
    ----------
    partition
        Only these partitions of the raw topic.
    since
        Begin with the first record that arrived then or later: 30s, 15m, 6h, 7d or 2w ago, a date (UTC), or RFC 3339.
    from_offset
        Begin with this offset of each partition.
    wait
        Seconds that the sink may take to store what the worker has written.
    max_culprits
        Faults to print; all are counted.
    as_json
        Print {"from", "to", "raw", "stored", "duplicate", "rejected", "unverifiable", "faulty", "fault_count",
        "faults", "ok"}; "from" and "to" are offsets by partition.
    """
    from scoreline_sink.reconcile import run
    from scoreline_sink.reconcile.options import partitions_of
    from scoreline_sink.reconcile.report import Progress, print_report

    settings = load_settings()
    if since is not None and from_offset is not None:
        refuse("--since and --from-offset both say where to begin; give one of them")
    try:
        start = from_offset if since is None else moment_of(since, datetime.now(UTC))
        request = run.Request(partitions_of(partition or (), settings.partitions), start, wait, max_culprits)
    except QueryError as error:
        refuse(str(error))
    reach_broker(settings)
    progress = Progress()
    try:
        report = run.reconcile(settings, request, progress.show)
    finally:
        progress.close()
    print_json(report.fields()) if as_json else print_report(report)
    if not report.ok:
        raise SystemExit(FAILED)

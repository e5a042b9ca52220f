"""`scoreline import`: a file of scores to `scores.raw`, resumable, with never more than a row of it in memory."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.types import ExistingFile

from scoreline.client import Client, origin_of
from scoreline.commands.broker import reach_broker
from scoreline.commands.checkpoints import Checkpoint, Journal, journal_of
from scoreline.commands.mapping import Plan, fields_of, plan_of
from scoreline.commands.options import Flag, Json
from scoreline.commands.progress import Progress, Step, open_progress
from scoreline.commands.readers import Format, Row, format_of, open_source
from scoreline.commands.sending import settle
from scoreline.commands.terminal import FAILED, print_json, refuse
from scoreline.errors import InvalidScore, KafkaUnavailable, MalformedRecord
from scoreline.kafka import require_topics, topic_id
from scoreline.rejections import Rejection
from scoreline.settings import load_settings
from scoreline.topics import declare_topics

CHECKPOINT_ROWS = 25_000
"""Rows between two waits for all acknowledgements; as many are sent again, as duplicates, after a kill."""
SHOW_ROWS = 500
INVALID_SHOWN_MAX = 10


def import_scores(
    file: ExistingFile,
    /,
    *,
    mapping: Annotated[list[str] | None, Parameter(name="--map", negative="")] = None,
    file_format: Annotated[Format | None, Parameter(name="--format")] = None,
    metadata_rest: Flag = False,
    strict: Flag = False,
    restart: Flag = False,
    as_json: Json = False,
) -> None:
    """Import scores from a JSONL or CSV file, plain or gzip.

    A column named like a field of a score is that field; `--map` fills the others. Example:

        scoreline import evals.csv.gz --map name='{metric}' \\
            --map value='{score}' --map dataset_run_id='run-{run}' \\
            --map metadata.model='{model}' --map timestamp='{finished_at}'

    A template that is one lone {column} keeps the column's JSON type, every other template makes text. An empty CSV
    cell, a JSON null and an empty template (`--map source=`) leave the field out. Text for value (from CSV, or made by
    a template) becomes the number or the true/false it looks like, unless data_type is CATEGORICAL. Seconds since 1970
    do for timestamp. CSV cells for metadata and evaluator hold JSON.

    Without a score_id the id is a hash of the mapped fields, so that a second import of the file changes nothing. An
    interrupted import goes on after the last row known acknowledged when the same command is given again.

    Parameters
    ----------
    file
        A .jsonl, .ndjson or .csv file; .gz is recognized by its content.
    mapping
        FIELD=TEMPLATE, repeated. {column} in the template is replaced, {{ is a brace. FIELD is a field of a score,
        metadata.KEY, or evaluator.name, .version, .model.
    file_format
        What the file is when its name does not tell.
    metadata_rest
        Put all columns that nothing else takes into metadata, instead of leaving them out.
    strict
        Exit with 1 when any row was invalid; valid rows are sent all the same.
    restart
        Begin at the first row, whatever an interrupted import had already sent.
    as_json
        Print exactly {"sent", "acknowledged", "invalid"}: counts for the whole file.
    """
    file_format = file_format or format_of(file)
    if file_format is None:
        refuse(f"{file.name} does not tell its format; give --format jsonl or --format csv")
    try:
        plan = plan_of(
            mapping or (), "metadata" if metadata_rest else "ignored", "text" if file_format == "csv" else "json"
        )
    except ValueError as error:
        refuse(f"--map: {error}")
    settings = load_settings()
    reach_broker(settings)
    require_topics(settings)
    raw_id = topic_id(settings, declare_topics(settings).raw.name)
    # a cluster made anew must not be taken for the one that has the first rows
    journal = journal_of(file, file_format, mapping, metadata_rest, settings.project, raw_id)
    if restart:
        journal.remove()
    importer = Importer(Client(settings), plan, journal)
    try:
        importer.run(file, file_format)
    except KeyboardInterrupt:
        with suppress(KafkaUnavailable):  # what is lost stands behind the checkpoint and is read again
            importer.client.close(timeout_s=0)
        raise
    finally:
        _report(importer, as_json)
    if strict and importer.invalid:
        raise SystemExit(FAILED)


class Importer:
    """One import under way: what was read, what became of it, and the checkpoint that outlives the process."""

    def __init__(self, client: Client, plan: Plan, journal: Journal) -> None:
        self.client = client
        self.started_at = time.monotonic()
        self.start = journal.load()
        self.rows = self.start.rows
        self.invalid = self.start.invalid
        self._plan = plan
        self._journal = journal
        self._origin = origin_of(client.settings)

    @property
    def counts(self) -> dict[str, int]:
        """Counts for the whole file, with what an interrupted import of it had acknowledged."""
        return {
            "sent": self.start.acknowledged + self.client.delivery.sent,
            "acknowledged": self.start.acknowledged + self.client.delivery.acknowledged,
            "invalid": self.invalid,
        }

    @property
    def rows_per_s(self) -> float:
        """Rows of this process."""
        return (self.rows - self.start.rows) / max(1e-9, time.monotonic() - self.started_at)

    def run(self, file: Path, file_format: Format) -> None:
        """Send every row after the last checkpoint and wait for the acknowledgements.

        Raises KeyboardInterrupt between two rows on SIGINT and SIGTERM, MalformedRecord where the file cannot be read
        any further, KafkaUnavailable and QueueFull when the broker stays away; the checkpoint stands in all cases.
        """
        self._journal.save(self.start)
        size_bytes = file.stat().st_size
        with (
            _stop_signals() as stopped,
            open_progress(file.name, size_bytes) as progress,
            open_source(file, file_format) as source,
        ):
            if self.start.rows:
                progress.say(f"{file.name}: continuing after row {self.start.rows:,}")
            try:
                for row in islice(source.rows, self.start.rows, None):
                    self._take(row, progress)
                    if self.rows % SHOW_ROWS == 0:
                        progress.show(Step(source.bytes_read(), self.rows, self.invalid, self.rows_per_s))
                    if self.rows % CHECKPOINT_ROWS == 0 or stopped():
                        self._checkpoint(stopped)
            except MalformedRecord:
                self._checkpoint(stopped)
                raise
            self._checkpoint(stopped)
            progress.show(Step(size_bytes, self.rows, self.invalid, self.rows_per_s))
        self.client.close()
        self._journal.remove()

    def _take(self, row: Row, progress: Progress) -> None:
        try:
            if isinstance(row.content, Rejection):
                raise InvalidScore(row.content)
            self.client.emit(self._origin | fields_of(row.content, self._plan))
        except InvalidScore as error:
            self.invalid += 1
            if self.invalid - self.start.invalid <= INVALID_SHOWN_MAX:
                progress.say(f"line {row.line}: {error}")
        self.rows += 1

    def _checkpoint(self, stopped: Callable[[], bool]) -> None:
        if settle(self.client, stopped) == 0:
            self._journal.save(Checkpoint(self.rows, self.counts["acknowledged"], self.invalid))
        if stopped():
            sys.stderr.write("interrupted; the same command goes on from here\n")
            raise KeyboardInterrupt


def _report(importer: Importer, as_json: bool) -> None:
    counts = importer.counts
    if as_json:
        print_json(counts)
        return
    seconds = time.monotonic() - importer.started_at
    sys.stdout.write(
        f"{counts['sent']:,} sent, {counts['acknowledged']:,} acknowledged, {counts['invalid']:,} invalid; "
        f"{seconds:.1f} s, {importer.rows_per_s:,.0f} rows/s\n"
    )


@contextmanager
def _stop_signals() -> Generator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; a second one ends the process as usual."""
    came: list[int] = []

    def handle(number: int, _frame: object) -> None:
        came.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

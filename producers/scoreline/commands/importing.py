"""`scoreline import`: a file of scores to `scores.raw`, resumable, with never more than a few rows of it in memory."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from cyclopts.types import ExistingFile

from scoreline.access import Component
from scoreline.client import Client, origin_of
from scoreline.commands.broker import reach_broker
from scoreline.commands.checkpoints import Checkpoint, Journal, journal_of
from scoreline.commands.dry_run import IDS_MAX, Trial
from scoreline.commands.mapping import Plan, plan_of
from scoreline.commands.options import Flag, Json
from scoreline.commands.presets import PRESETS, Preset, PresetName
from scoreline.commands.progress import Pace, Progress, open_progress
from scoreline.commands.readers import Format, Row
from scoreline.commands.scoring import scores_of
from scoreline.commands.sending import settle
from scoreline.commands.sources import Source, format_of, open_source
from scoreline.commands.terminal import FAILED, print_json, refuse
from scoreline.errors import InvalidScore, KafkaUnavailable, MalformedRecord
from scoreline.kafka import require_topics, topic_id
from scoreline.rejections import Rejection
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics

CHECKPOINT_ROWS = 25_000
"""Rows between two waits for all acknowledgements; as many are sent again, as duplicates, after a kill."""
SHOW_ROWS = 500
INVALID_SHOWN_MAX = 10


def import_scores(
    file: ExistingFile,
    /,
    *,
    preset: PresetName | None = None,
    mapping: Annotated[list[str] | None, Parameter(name="--map", negative="")] = None,
    file_format: Annotated[Format | None, Parameter(name="--format")] = None,
    metadata_rest: Flag = False,
    dry_run: Flag = False,
    strict: Flag = False,
    restart: Flag = False,
    as_json: Json = False,
) -> None:
    """Import scores from a JSONL, JSON, CSV or Parquet file, or from another system's export.

    A column named like a field of a score is that field; `--map` fills the others. Example:

        scoreline import evals.csv.gz --map name='{metric}' \\
            --map value='{score}' --map dataset_run_id='run-{run}' \\
            --map metadata.model='{model}' --map timestamp='{finished_at}'

    A template that is one lone {column} keeps the column's JSON type, every other template makes text; {a.b} is b
    inside the object a. An empty CSV cell, a JSON null and an empty template (`--map source=`) leave the field out.
    Text for value (from CSV, or made by a template) becomes the number or the true/false it looks like, unless
    data_type is CATEGORICAL. Seconds since 1970 do for timestamp. CSV cells for metadata and evaluator hold JSON.

    Exports need no mapping but a preset:

        scoreline import scores.jsonl --preset langfuse --dry-run

        langfuse         export of the scores table, blob storage export, pages of the scores API
        openai-evals     log of oaieval (JSONL)
        inspect          Inspect AI log as JSON: a score for each sample and scorer
        every-eval-ever  log of results (JSON), samples (JSONL)
        mlflow           feedback of traces: Trace.to_json, search, REST
        langsmith        feedback of the API

    Evaluations that failed become scores with status failed. With a preset, `--map` overrides single fields; {column}
    is then the exported record's own, or a field as the preset fills it.

    Without a score_id (a preset takes the export's own ids) the id is a hash of the mapped fields, so that a second
    import of the file changes nothing. An interrupted import goes on after the last row known acknowledged when the
    same command is given again.

    Parameters
    ----------
    file
        A .jsonl, .ndjson, .json, .csv or .parquet file; gzip is recognized by its content. Parquet needs
        pip install 'scoreline[parquet]'. A .json document is read whole, up to 128 MiB; all others in pieces.
    preset
        The system that the file was exported from.
    mapping
        FIELD=TEMPLATE, repeated. {column} in the template is replaced, {{ is a brace. FIELD is a field of a score,
        metadata.KEY, or evaluator.name, .version, .model.
    file_format
        What the file is when its name does not tell.
    metadata_rest
        Put all columns that nothing else takes into metadata, instead of leaving them out.
    dry_run
        Send nothing, and say what would be rejected: reasons, first rows, fields, remedies. Needs no broker.
    strict
        Exit with 1 when any score was invalid; valid ones are sent all the same.
    restart
        Begin at the first row, whatever an interrupted import had already sent.
    as_json
        Print exactly {"sent", "acknowledged", "invalid"}: counts for the whole file. With --dry-run: {"rows", "valid",
        "duplicate", "without_score", "rejected", "reasons": [{"reason", "field", "count", "remedy", "examples"}]}.
    """
    job = _job(file, preset, file_format, mapping or (), metadata_rest)
    settings = load_settings()
    if dry_run:
        invalid = _try_out(job, settings, as_json)
    else:
        what = (job.file_format, mapping, metadata_rest, settings.project, *([preset] if preset else []))
        invalid = _import(job, settings, what, restart, as_json)
    if strict and invalid:
        raise SystemExit(FAILED)


class Job(NamedTuple):
    """A file and how to read it."""

    file: Path
    file_format: Format
    preset: Preset | None
    plan: Plan

    def open(self) -> AbstractContextManager[Source]:
        """Its rows. Raises MalformedRecord and SettingsError, as `open_source`."""
        return open_source(self.file, self.file_format, self.preset)


def _job(
    file: Path, name: PresetName | None, file_format: Format | None, mapping: Sequence[str], metadata_rest: bool
) -> Job:
    """What the options say; ends with the exit status of wrong usage where they contradict each other."""
    file_format = file_format or format_of(file)
    if file_format is None:
        refuse(f"{file.name} does not tell its format; give --format jsonl, json, csv or parquet")
    preset = None if name is None else PRESETS[name]
    if preset is not None and file_format not in preset.formats:
        refuse(f"--preset {name} reads {' or '.join(preset.formats)}, not {file_format}; --format says otherwise")
    if preset is not None and metadata_rest:
        refuse("--metadata-rest is for files without a preset; name what you want: --map metadata.KEY='{column}'")
    try:
        # a preset gives typed fields, whatever the cells of its file are
        cells = "text" if file_format == "csv" and preset is None else "json"
        return Job(file, file_format, preset, plan_of(mapping, "metadata" if metadata_rest else "ignored", cells))
    except ValueError as error:
        refuse(f"--map: {error}")


def _try_out(job: Job, settings: Settings, as_json: bool) -> int:
    """Read the file and report what would become of it; how many scores would be rejected."""
    trial, origin, size_bytes = Trial(), origin_of(settings), job.file.stat().st_size
    with open_progress(job.file.name, size_bytes) as progress, job.open() as source:
        pace = Pace(size_bytes, time.monotonic(), 0, 0)
        for row in source.rows:
            trial.take(row.line, scores_of(row, job.plan, job.preset), origin, int(time.time() * 1000))
            if trial.rows % SHOW_ROWS == 0:
                progress.show(pace.step(source.bytes_read(), trial.rows, trial.rejections, time.monotonic()))
    if not trial.compared_all:
        sys.stderr.write(f"scoreline: only the first {IDS_MAX:,} ids were compared with each other\n")
    if as_json:
        print_json(trial.as_json())
    else:
        trial.show(source.unit, sys.stdout.write)
    return trial.rejections


def _import(job: Job, settings: Settings, what: Sequence[object], restart: bool, as_json: bool) -> int:
    """Send the file's scores and report the counts; how many were invalid. `what` makes it this import."""
    reach_broker(settings)
    require_topics(settings, Component.CLIENT)
    raw_id = topic_id(settings, declare_topics(settings).raw.name)
    # a cluster made anew must not be taken for the one that has the first rows
    journal = journal_of(job.file, *what, raw_id)
    if restart:
        journal.remove()
    importer = Importer(Client(settings), job, journal)
    try:
        importer.run()
    except KeyboardInterrupt:
        with suppress(KafkaUnavailable):  # what is lost stands behind the checkpoint and is read again
            importer.client.close(timeout_s=0)
        raise
    finally:
        _report(importer, as_json)
    return importer.invalid


class Importer:
    """One import under way: what was read, what became of it, and the checkpoint that outlives the process."""

    def __init__(self, client: Client, job: Job, journal: Journal) -> None:
        self.client = client
        self.start = journal.load()
        self.rows = self.start.rows
        self.invalid = self.start.invalid
        self.pace = Pace(job.file.stat().st_size, time.monotonic(), 0, self.start.rows)
        self._job = job
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

    def run(self) -> None:
        """Send every row after the last checkpoint and wait for the acknowledgements.

        Raises KeyboardInterrupt between two rows on SIGINT and SIGTERM, MalformedRecord where the file cannot be read
        any further, KafkaUnavailable and QueueFull when the broker stays away; the checkpoint stands in all cases.
        """
        self._journal.save(self.start)
        name, size_bytes = self._job.file.name, self.pace.size_bytes
        with _stop_signals() as stopped, open_progress(name, size_bytes) as progress, self._job.open() as source:
            if self.start.rows:
                progress.say(f"{name}: continuing after row {self.start.rows:,}")
            try:
                self._take_all(source, progress, stopped)
            except MalformedRecord:
                self._checkpoint(stopped)
                raise
            self._checkpoint(stopped)
            progress.show(self.pace.step(size_bytes, self.rows, self.invalid, time.monotonic()))
        self.client.close()
        self._journal.remove()

    def _take_all(self, source: Source, progress: Progress, stopped: Callable[[], bool]) -> None:
        for row in islice(source.rows, self.start.rows, None):
            if self.rows == self.start.rows:
                self.pace = replace(self.pace, began_at=time.monotonic(), bytes_before=source.bytes_read())
            self._take(row, source.unit, progress)
            if self.rows % SHOW_ROWS == 0:
                progress.show(self.pace.step(source.bytes_read(), self.rows, self.invalid, time.monotonic()))
            if self.rows % CHECKPOINT_ROWS == 0 or stopped():
                self._checkpoint(stopped)

    def _take(self, row: Row, unit: str, progress: Progress) -> None:
        for fields in scores_of(row, self._job.plan, self._job.preset):
            try:
                if isinstance(fields, Rejection):
                    raise InvalidScore(fields)
                self.client.emit(self._origin | fields)
            except InvalidScore as error:
                self.invalid += 1
                if self.invalid - self.start.invalid <= INVALID_SHOWN_MAX:
                    progress.say(f"{unit} {row.line}: {error}")
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
    now = time.monotonic()
    step = importer.pace.step(importer.pace.size_bytes, importer.rows, importer.invalid, now)
    sys.stdout.write(
        f"{counts['sent']:,} sent, {counts['acknowledged']:,} acknowledged, {counts['invalid']:,} invalid; "
        f"{now - importer.pace.began_at:.1f} s, {step.rows_per_s:,.0f} rows/s\n"
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

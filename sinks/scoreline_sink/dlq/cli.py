"""`scoreline dlq`: look at rejected scores, mend and replay them, put them aside."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from cyclopts import App, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from scoreline.access import Component
from scoreline.commands.broker import reach_broker
from scoreline.commands.options import Flag, Json
from scoreline.commands.terminal import FAILED, print_json, print_table, refuse
from scoreline.errors import SettingsError
from scoreline.kafka import require_topics
from scoreline.remedies import remedy_of
from scoreline.settings import Settings, load_settings
from scoreline.stores import ConfigStore
from scoreline.topics import declare_topics
from scoreline_sink.dlq.filters import Shown, Step
from scoreline_sink.dlq.letters import iso, reference_of
from scoreline_sink.dlq.options import All, Choice, Yes, confirm, filter_of, understood
from scoreline_sink.dlq.patch import patch_of
from scoreline_sink.dlq.preparing import REPLAYS_MAX, Terms

if TYPE_CHECKING:
    from scoreline_sink.dlq.store import Store

app = App(name="dlq", help="Rejected scores (dead letters): why, how to mend them, replay, discard.")

STATS_LINES_MAX = 1000
LIST_MAX = 10_000


@app.command(name="list")
def list_letters(
    *,
    choice: Choice | None = None,
    every: All = False,
    limit: PositiveInt = 50,
    after: str | None = None,
    as_json: Json = False,
) -> None:
    """List rejected scores, the latest first.

    For example, what the service checkout sent today:

        scoreline dlq list --service checkout --since 24h

    Parameters
    ----------
    every
        Show handled letters too: replayed or discarded.
    limit
        Letters at most, up to 10,000.
    after
        Go on behind this letter, the last one of the list before.
    as_json
        Print {"letters", "next"}; next is what --after takes for the following ones, null at the end.
    """
    from scoreline_sink.dlq.showing import LIST_COLUMNS, list_row

    if limit > LIST_MAX:
        refuse(f"--limit {limit}: at most {LIST_MAX}; for more there is scoreline dlq export")
    chosen, behind = filter_of(choice, ()), None if after is None else understood(reference_of, after)
    with _store(load_settings()) as store:
        entries = store.newest(chosen, _shown(every), limit + 1, behind)
    entries, more = entries[:limit], entries[limit:]
    following = str(entries[-1].reference) if more else None
    if as_json:
        print_json({"letters": [entry.fields() for entry in entries], "next": following})
        return
    if not entries:
        sys.stderr.write("no letter matches\n")
        return
    print_table(LIST_COLUMNS, [list_row(entry) for entry in entries], right=frozenset({"rejected"}))
    if following is not None:
        sys.stderr.write(f"there are more: the same with --after {following}\n")


@app.command(name="show")
def show(*letters: str, choice: Choice | None = None, limit: PositiveInt = 5, as_json: Json = False) -> None:
    """Show rejected scores whole: why, which field, how to mend it, where it came from, and the original bytes.

    For example:

        scoreline dlq show 2/77
        scoreline dlq show --id nightly/42/accuracy

    Parameters
    ----------
    letters
        PARTITION/OFFSET as `scoreline dlq list` prints them. Handled ones are shown too.
    limit
        Letters at most, the latest first.
    as_json
        Print an array of letters; bytes that are no UTF-8 stand as base64 under "key_base64" and "value_base64".
    """
    from scoreline_sink.dlq.showing import letter_lines

    chosen = filter_of(choice, letters)
    with _store(load_settings()) as store:
        found = store.letters(chosen, max(limit, len(letters)))
    if as_json:
        print_json([letter.fields() | {"remedy": remedy_of(letter.entry.reason)} for letter in found])
    else:
        sys.stdout.write("\n".join("".join(f"{line}\n" for line in letter_lines(letter)) for letter in found))
    if not found:
        sys.stderr.write("scoreline: no such letter\n")
        raise SystemExit(FAILED)


@app.command(name="stats")
def stats(*, choice: Choice | None = None, every: All = False, step: Step | None = None, as_json: Json = False) -> None:
    """Count rejected scores by reason and service, with their share and an example.

    For example, the last day hour by hour:

        scoreline dlq stats --since 24h --step hour

    Parameters
    ----------
    every
        Count handled letters too.
    step
        Also by the time of rejection, UTC.
    as_json
        Print an array of {"time", "reason", "service", "letters", "share", "latest", "example", "detail", "remedy"};
        share is of all letters chosen, 0 to 1.
    """
    from scoreline_sink.dlq.showing import STATS_COLUMNS, stats_row

    chosen = filter_of(choice, ())
    with _store(load_settings()) as store:
        counts = store.stats(chosen, _shown(every), step, STATS_LINES_MAX)
    if as_json:
        print_json(
            [
                {
                    "time": None if count.time_ms is None else iso(count.time_ms),
                    "reason": count.reason,
                    "service": count.service,
                    "letters": count.letters,
                    "share": count.letters / count.total,
                    "latest": iso(count.last_rejected_ms),
                    "example": str(count.example),
                    "detail": count.detail,
                    "remedy": remedy_of(count.reason),
                }
                for count in counts
            ]
        )
        return
    if not counts:
        sys.stderr.write("no letter matches\n")
        return
    first = 0 if step is not None else 1
    rows = [stats_row(count)[first:] for count in counts]
    print_table(STATS_COLUMNS[first:], rows, right=frozenset({"time", "letters", "share", "latest"}))
    if len(counts) == STATS_LINES_MAX:
        sys.stderr.write(f"the first {STATS_LINES_MAX} lines; narrow the question for the others\n")


@app.command(name="replay")
def replay(
    *letters: str,
    choice: Choice | None = None,
    every: All = False,
    sets: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    renames: Annotated[list[str] | None, Parameter(name="--rename", negative="")] = None,
    drops: Annotated[list[str] | None, Parameter(name="--drop", negative="")] = None,
    dry_run: Flag = False,
    rate: PositiveFloat | None = None,
    replays_max: PositiveInt = REPLAYS_MAX,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send rejected scores to scores.raw again, patched where you say so.

    For example, after a config was created; then where a sender used another name for a field:

        scoreline dlq replay --reason unknown_config --dry-run
        scoreline dlq replay --reason unknown_field --rename traceId=trace_id

    A score is sent with its own id, headers and, without a patch, its own bytes; the key is made right. One without a
    timestamp is given the time when it first arrived. What the worker would surely reject again is not sent: it stays,
    and the reason is printed. A score whose id was stored meanwhile is dropped as a duplicate, or comes back as
    conflicting_duplicate where the content differs. Interrupted or killed, the same command goes on; what is sent twice
    then is a duplicate and stored once. Exit status 1 when a letter was not sent.

    Parameters
    ----------
    letters
        PARTITION/OFFSET as `scoreline dlq list` prints them.
    every
        Replay letters too that were replayed or discarded before.
    sets
        FIELD=VALUE, repeated; FIELD is a field of a score, metadata.KEY or evaluator.name, .version, .model.
    renames
        FIELD=FIELD, old and new name, repeated. Done before --drop and --set.
    drops
        FIELD, repeated.
    dry_run
        Send nothing; say what would be sent and what would still be rejected, and why.
    rate
        Records a second at most.
    replays_max
        Leave a record that was replayed so often already.
    yes
        Do not ask before more than one letter is sent.
    as_json
        Print {"chosen", "sent", "not_sent", "refusals", "dry_run"}; refusals are {"cause", "field", "letters",
        "example", "detail"}.
    """
    from scoreline_sink.dlq import replay as run
    from scoreline_sink.dlq.sending import Sender
    from scoreline_sink.dlq.showing import outcome_lines

    shown = _shown(every)
    chosen = filter_of(choice, letters)
    patch = understood(patch_of, sets or (), renames or (), drops or ())
    settings = load_settings()
    with _store(settings) as store, _progress() as progress:
        census = store.census(chosen, shown)
        if patch.gives_an_id and census.letters > 1:
            refuse(f"--set score_id: {census.letters:,} letters would get the same id; choose one")
        if not dry_run and not yes:
            confirm(f"send {census.letters:,} letters again{f' with {patch}' if patch else ''}", census.letters)
        reach_broker(settings)
        require_topics(settings, Component.DLQ)
        terms = Terms(
            patch, ConfigStore(settings).catalog().configs, declare_topics(settings).rejected.name, replays_max
        )
        if dry_run:
            outcome = run.rehearse(store, census, shown, terms, progress)
        else:
            with closing(Sender(settings)) as sender:
                outcome = run.replay(store, sender, census, shown, terms, rate, progress)
    if not census.letters:
        sys.stderr.write("no letter matches\n")
    if as_json:
        print_json(outcome.fields() | {"dry_run": dry_run})
    else:
        sys.stdout.writelines(f"{line}\n" for line in outcome_lines(outcome, "to send" if dry_run else "sent"))
    if outcome.refused:
        raise SystemExit(FAILED)


@app.command(name="discard")
def discard(
    *letters: str, why: str, choice: Choice | None = None, every: All = False, yes: Yes = False, as_json: Json = False
) -> None:
    """Put rejected scores aside: they are hidden from list, stats and replay, and stay in ClickHouse.

    For example:

        scoreline dlq discard --service load-test --why "test data"

    Parameters
    ----------
    letters
        PARTITION/OFFSET as `scoreline dlq list` prints them.
    why
        Why nobody wants them; written down with your name.
    every
        Discard letters too that were replayed before.
    yes
        Do not ask before more than one letter is discarded.
    as_json
        Print {"chosen", "discarded"}.
    """
    from scoreline_sink.dlq import replay as run

    if not why.strip():
        refuse("--why: say why nobody wants these scores")
    chosen, shown = filter_of(choice, letters), _shown(every)
    with _store(load_settings()) as store, _progress() as progress:
        census = store.census(chosen, shown)
        if not yes:
            confirm(f"discard {census.letters:,} letters", census.letters)
        discarded = run.discard(store, census, shown, why, progress)
    if as_json:
        print_json({"chosen": census.letters, "discarded": discarded})
    else:
        sys.stdout.write(f"{discarded:,} letters discarded\n")


@app.command(name="export")
def export(
    *letters: str, choice: Choice | None = None, every: All = False, output: Path | None = None, as_json: Json = False
) -> None:
    """Write rejected scores as JSON, a letter a line, with their original bytes.

    What you mend in it by hand goes in again as new records, whose letters you discard then. For example:

        scoreline dlq export --reason no_target | jq -c '.value | fromjson | .trace_id = "t"' | scoreline emit --stdin

    Parameters
    ----------
    letters
        PARTITION/OFFSET as `scoreline dlq list` prints them.
    every
        Handled letters too.
    output
        A new file, instead of stdout.
    as_json
        With --output: print {"letters"}, how many were written.
    """
    chosen, shown = filter_of(choice, letters), _shown(every)
    written = 0
    with _store(load_settings()) as store, _progress() as progress, _output(output) as out:
        census = store.census(chosen, shown)
        for batch in store.walk(census, shown):
            out.writelines(json.dumps(letter.fields(), ensure_ascii=False) + "\n" for letter in batch)
            written += len(batch)
            if output is not None:
                progress(written, census.letters)
    if output is None:
        return
    if as_json:
        print_json({"letters": written})
    else:
        sys.stdout.write(f"{written:,} letters in {output}\n")


def _shown(every: bool) -> Shown:
    return "all" if every else "open"


@contextmanager
def _store(settings: Settings) -> Generator[Store]:
    from scoreline_sink.dlq.store import Store

    with closing(Store(settings)) as store:
        yield store


@contextmanager
def _progress() -> Generator[Callable[[int, int], None]]:
    """Shows letters done and letters in all on stderr."""
    from scoreline_sink.reconcile.report import Progress

    progress = Progress("letters")
    try:
        yield progress.show
    finally:
        progress.close()


@contextmanager
def _output(path: Path | None) -> Generator[TextIO]:
    """The new file at `path`, or stdout."""
    if path is not None:
        try:
            with path.open("x", encoding="utf-8") as file:
                yield file
        except OSError as error:
            raise SettingsError(
                f"--output {path}: {error.strerror}; name a new file in a folder that can be written"
            ) from error
        return
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit, into the same broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

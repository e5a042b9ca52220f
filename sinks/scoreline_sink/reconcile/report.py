"""How a long command shows that it moves, and what reconcile found."""

from __future__ import annotations

import sys
import time

from scoreline.commands.terminal import print_table, printable
from scoreline_sink.reconcile.tally import SUMS, Report

LINE_EVERY_S = 10.0
REDRAW_EVERY_S = 0.5
_ALWAYS = SUMS[:4]
"""Sums that are printed even when nothing is in them: each column costs room on a terminal."""


class Progress:
    """What is done, how fast and how long it will take, on stderr: one line that is redrawn on a terminal, a line
    every ten seconds elsewhere."""

    def __init__(self, unit: str = "offsets") -> None:
        self._unit = unit
        self._begun_at = self._shown_at = time.monotonic()
        self._redraws = sys.stderr.isatty()
        self._drawn = False

    def show(self, done: int, total: int) -> None:
        """`done` of `total` are behind us."""
        now = time.monotonic()
        if now - self._shown_at < (REDRAW_EVERY_S if self._redraws else LINE_EVERY_S):
            return
        self._shown_at = now
        rate = done / (now - self._begun_at)
        left_s = round(max(0, total - done) / max(rate, 1e-9))
        text = f"{done * 100 // max(1, total)} %, {done:,} of {total:,} {self._unit}, {rate:,.0f}/s, {left_s:,} s left"
        sys.stderr.write(f"\r\x1b[K{text}" if self._redraws else f"{text}\n")
        sys.stderr.flush()
        self._drawn = self._redraws

    def close(self) -> None:
        """Take the redrawn line away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")


def print_report(report: Report) -> None:
    """Sums by partition, the equation, and the culprits."""
    shown = [name for name in SUMS if name in _ALWAYS or report.total(name)]
    columns = ("partition", "from", "to", *shown, "faults")
    rows = [
        [str(n) for n in (t.partition, t.first, t.end, *(getattr(t, name) for name in shown), t.faults)]
        for t in report.tallies
    ]
    print_table(columns, rows, right=frozenset(columns))
    total, *parts = (f"{name} {report.total(name)}" for name in shown)
    sys.stdout.write(f"\n{total} = {' + '.join(parts)}\n")
    if report.total("raw") == 0:
        sys.stderr.write("nothing compared: the worker has settled no record of this range\n")
    if report.ok:
        return
    culprits = report.culprits
    first = f", the first {len(culprits)}" if 0 < len(culprits) < report.faults else ""
    sys.stdout.write(f"\nfaults: {report.faults}{first}\n")
    for culprit in culprits:
        detail = f": {culprit.detail}" if culprit.detail else ""
        key = printable(culprit.key) or "(no key)"
        sys.stdout.write(f"  partition {culprit.partition}, offset {culprit.offset}, {key}: {culprit.fault}{detail}\n")

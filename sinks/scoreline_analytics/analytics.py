"""`Analytics`: every question that can be asked, over one ClickHouse client."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scoreline.errors import ScorelineError
from scoreline.settings import Settings, load_settings
from scoreline_analytics import catalogue, scores
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.extent import extent_of
from scoreline_analytics.fields import UnknownField
from scoreline_analytics.flow import WINDOW, Flow, flow
from scoreline_analytics.histogram import Histogram, histogram
from scoreline_analytics.known import (
    is_key,
    keys_of,
    require_key,
    require_keys,
    require_known,
    require_rejections_known,
)
from scoreline_analytics.pairing import require_item
from scoreline_analytics.questions import LEVEL, QUANTILES, Filter, Question
from scoreline_analytics.rejections import RejectionFilter, Rejections, rejections
from scoreline_analytics.results import Row
from scoreline_analytics.series import Series, series
from scoreline_analytics.steps import Step, step_of
from scoreline_analytics.summary import Summary, summary

if TYPE_CHECKING:
    from scoreline_analytics.agreement import Agreement
    from scoreline_analytics.change import Change
    from scoreline_analytics.compare import Comparison

ALL = Filter()
ALL_REJECTED = RejectionFilter()


class Analytics:
    """Questions about stored scores. One handle serves many threads; it connects at the first question.

    `projects` restricts everything that it ever answers; None: all projects. Every method raises QueryError for what
    cannot be asked or does not exist (the message lists what does, the likest first), SchemaError, SettingsError and
    ClickHouseUnavailable.
    """

    def __init__(self, settings: Settings | None = None, projects: Sequence[str] | None = None) -> None:
        self._reader = Reader(settings or load_settings(), projects)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._reader.close()

    @contextmanager
    def naming_keys(self, project: str | None = None) -> Generator[None]:
        """While a question is put together: the error about a field that does not exist lists the keys of metadata and
        lookups too, which the question itself cannot know. `project`: those of its scores."""
        try:
            yield
        except UnknownField as error:
            try:
                keys = keys_of(self._reader, project)
            except ScorelineError:
                # That the server does not answer is less than what is wrong with the question.
                raise error from None
            raise error.with_keys(keys) from None

    def names(self, asked: Filter = ALL) -> catalogue.Names:
        """Every score name with its type, counts and latest score."""
        answer = catalogue.names(self._reader, asked)
        require_known(self._reader, asked, is_empty=not answer.names)
        return answer

    def dimensions(self, asked: Filter = ALL) -> catalogue.Valued:
        """What scores can be grouped and filtered by, the keys of metadata and lookups too."""
        answer = catalogue.dimensions(self._reader, asked)
        require_known(self._reader, asked, is_empty=not any(answer.counts.values()))
        return answer

    def values(self, dimension: str, asked: Filter = ALL, limit: int = 100) -> catalogue.Valued:
        """Values of a dimension with their counts, the most frequent first."""
        with self.naming_keys(asked.project):
            answer = catalogue.values(self._reader, dimension, asked, limit)
        require_known(self._reader, asked, is_empty=not answer.counts)
        if is_key(dimension) and not any(answer.counts):
            require_key(self._reader, dimension, asked.project)
        return answer

    def extent(self, asked: Filter = ALL) -> tuple[datetime, datetime] | None:
        """When the first and the last of these scores were judged; None: there are none."""
        return extent_of(self._reader, asked)

    def summary(self, question: Question, quantiles: tuple[float, ...] = QUANTILES) -> Summary:
        """Figures of each group. Without quantiles it is read from the rollups, where the question allows."""
        answer = summary(self._reader, question, quantiles)
        require_known(self._reader, question, is_empty=not answer.groups)
        require_keys(self._reader, question, (each.dimensions for each in answer.groups))
        return answer

    def series(
        self, question: Question, step: str | Step, zone: str = "UTC", quantiles: tuple[float, ...] = ()
    ) -> Series:
        """Figures of each group in each bucket of time, gaps too; from the rollups, where question and step allow."""
        answer = series(self._reader, question, step if isinstance(step, Step) else step_of(step, zone), quantiles)
        require_known(self._reader, question, is_empty=not answer.points)
        require_keys(self._reader, question, (each.dimensions for each in answer.points))
        return answer

    def histogram(self, question: Question, bins: int = 20, range: tuple[float, float] | None = None) -> Histogram:  # noqa: A002
        """How many numbers lie in each of equal bins (over the range, or from the least to the greatest of all groups),
        and how often each category was given."""
        answer = histogram(self._reader, question, bins, range)
        require_known(self._reader, question, is_empty=not answer.groups)
        require_keys(self._reader, question, (each.dimensions for each in answer.groups))
        return answer

    def change(self, question: Question, now: datetime | None = None) -> Change:
        """Each group from `since` to `until` (`now` where it is not said) against as long a time before `since`."""
        from scoreline_analytics.change import change

        answer = change(self._reader, question, now or datetime.now(UTC))
        require_known(self._reader, question, is_empty=not answer.groups)
        require_keys(self._reader, question, (each.dimensions for each in answer.groups))
        return answer

    def compare(self, a: Filter, b: Filter, pair: str = "auto", level: float = LEVEL) -> Comparison:
        """Each score name of two sides: b less a, paired by item where there are pairs.

        `pair` is the dimension that names the item, `none`, or `auto`: the first of `pairing.PAIR_KEYS` by which two
        items or more are on both sides. Numbers of an item on a side are averaged, several true/false make no pair.
        """
        from scoreline_analytics.compare import compare

        self._require_pair(pair, a)
        answer = compare(self._reader, a, b, pair, level)
        require_known(self._reader, a, is_empty=not any(name.n_a + name.failed_a for name in answer.names))
        require_known(self._reader, b, is_empty=not any(name.n_b + name.failed_b for name in answer.names))
        return answer

    def agreement(self, a: Filter, b: Filter, pair: str = "auto", level: float = LEVEL) -> Agreement:
        """How far two names or judges say the same of the same items; `pair` as in `compare`.

        It takes a million pairs at most.
        """
        from scoreline_analytics.agreement import agreement

        for side in (a, b):
            require_known(self._reader, side, is_empty=True)
        self._require_pair(pair, a)
        return agreement(self._reader, a, b, pair, level)

    def worst(self, asked: Filter = ALL, n: int = 10) -> scores.Scores:
        """The scores with the lowest normalized value (1 is the better end), where there is none the lowest value."""
        answer = scores.worst(self._reader, asked, n)
        require_known(self._reader, asked, is_empty=not answer.items)
        return answer

    def latest(self, asked: Filter = ALL, n: int = 10) -> scores.Scores:
        """The scores that were judged last, the latest first."""
        answer = scores.latest(self._reader, asked, n)
        require_known(self._reader, asked, is_empty=not answer.items)
        return answer

    def scores(self, asked: Filter = ALL) -> scores.Export:
        """Every score of a filter as a stream of batches."""
        return scores.export(
            self._reader, asked, lambda is_empty: require_known(self._reader, asked, is_empty=is_empty)
        )

    def score(self, project: str, score_id: str) -> Row | None:
        """One score; None where there is none."""
        found = scores.score(self._reader, project, score_id)
        require_known(self._reader, Filter(project=project), is_empty=found is None)
        return found

    def trace(self, trace_id: str, project: str | None = None) -> scores.Scores:
        """The scores of a trace and its observations, in order of time."""
        answer = scores.trace(self._reader, trace_id, project)
        require_known(self._reader, Filter(project=project), is_empty=not answer.items)
        return answer

    def rejections(self, asked: RejectionFilter = ALL_REJECTED, limit: int = 100) -> Rejections:
        """Rejected records by reason and service, with an example and the remedy."""
        answer = rejections(self._reader, asked, limit)
        if not answer.groups:
            require_rejections_known(self._reader, asked)
        return answer

    def flow(self, window: timedelta = WINDOW, now: datetime | None = None) -> Flow:
        """How many scores were stored and rejected lately, and the latency of each hop."""
        return flow(self._reader, window, now or datetime.now(UTC))

    def _require_pair(self, pair: str, side: Filter) -> None:
        with self.naming_keys(side.project):
            require_item(pair)
        if is_key(pair):
            require_key(self._reader, pair, side.project)

"""The endpoints: parameters → a question of `Analytics` → rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from scoreline.errors import QueryError, RequestRefused
from scoreline_analytics.analytics import Analytics
from scoreline_analytics.api import asking
from scoreline_analytics.api.answering import format_of, object_response, rows_response
from scoreline_analytics.api.callers import Caller, Reading
from scoreline_analytics.api.describing import EXPORT, HEALTH, SCORE, rows_of
from scoreline_analytics.api.desk import Desk
from scoreline_analytics.api.exporting import export_response
from scoreline_analytics.api.lag import Lag
from scoreline_analytics.results import Result
from scoreline_analytics.scores import Export

router = APIRouter(prefix="/v1", default_response_class=Response)

Answer = tuple[Result, dict[str, Any]]
"""Rows, and what stands beside them in JSON."""
Id = Annotated[str, Path(min_length=1, max_length=asking.TEXT_MAX)]


async def _rows(
    request: Request, caller: Caller, asked: asking.InProject, question: Callable[[Analytics], Answer]
) -> Response:
    form = format_of(request, asked.format)

    def answer() -> Response:
        with caller.analytics.naming_keys(asked.project):
            result, more = question(caller.analytics)
        return rows_response(result, form, **more)

    desk: Desk = request.app.state.desk
    return await desk.ask(answer)


@router.get("/names", tags=["what there is"], summary="Score names", responses=rows_of("Name"))
async def names(request: Request, caller: Reading, asked: Annotated[asking.Which, Query()]) -> Response:
    """Every score name with its type, counts and latest score."""
    return await _rows(request, caller, asked, lambda analytics: (analytics.names(asked.filter()), {}))


@router.get("/dimensions", tags=["what there is"], summary="Dimensions", responses=rows_of("Dimension"))
async def dimensions(request: Request, caller: Reading, asked: Annotated[asking.Which, Query()]) -> Response:
    """What scores can be grouped and filtered by; the keys of metadata and lookups with their counts."""
    return await _rows(request, caller, asked, lambda analytics: (analytics.dimensions(asked.filter()), {}))


@router.get(
    "/values/{dimension:path}", tags=["what there is"], summary="Values of a dimension", responses=rows_of("Value")
)
async def values(
    request: Request, caller: Reading, dimension: Id, asked: Annotated[asking.OfValues, Query()]
) -> Response:
    """The values of a dimension with their counts, the most frequent first."""

    def question(analytics: Analytics) -> Answer:
        return analytics.values(dimension, asked.filter(), asked.limit), {}

    return await _rows(request, caller, asked, question)


@router.get("/summary", tags=["figures"], summary="Figures of groups", responses=rows_of("Summary", "is_complete"))
async def summary(request: Request, caller: Reading, asked: Annotated[asking.Summarized, Query()]) -> Response:
    """Count, mean with its confidence interval, spread, quantiles and shares of categories of each group.

    The mean of true/false scores is the share of true. Failed scores are counted apart and are in no other figure.
    """

    def question(analytics: Analytics) -> Answer:
        quantiles = tuple(dict.fromkeys(asked.quantile)) if asked.quantiles else ()
        answer = analytics.summary(asked.question(), quantiles)
        return answer, {"is_complete": answer.is_complete}

    return await _rows(request, caller, asked, question)


@router.get("/series", tags=["figures"], summary="Figures over time", responses=rows_of("Point", "is_complete"))
async def series(request: Request, caller: Reading, asked: Annotated[asking.Stepped, Query()]) -> Response:
    """Figures of each group in each bucket of time; a bucket without scores is a row with n 0."""

    def question(analytics: Analytics) -> Answer:
        quantiles = tuple(dict.fromkeys(asked.quantile))
        answer = analytics.series(asked.question(), asked.step, asked.zone, quantiles)
        return answer, {"is_complete": answer.is_complete}

    return await _rows(request, caller, asked, question)


@router.get("/histogram", tags=["figures"], summary="Distribution", responses=rows_of("Bar", "is_complete", "groups"))
async def histogram(request: Request, caller: Reading, asked: Annotated[asking.Binned, Query()]) -> Response:
    """How many numbers lie in each of equal bins, and how often each category was given."""

    def question(analytics: Analytics) -> Answer:
        if (asked.low is None) != (asked.high is None):
            raise QueryError("low and high go together: give both, or none")
        range_ = None if asked.low is None or asked.high is None else (asked.low, asked.high)
        answer = analytics.histogram(asked.question(), asked.bins, range_)
        groups = [
            {"dimensions": g.dimensions, "n": g.n, "failed": g.failed, "below": g.below, "above": g.above}
            for g in answer.groups
        ]
        return answer, {"is_complete": answer.is_complete, "groups": groups}

    return await _rows(request, caller, asked, question)


@router.get(
    "/change",
    tags=["comparisons"],
    summary="Change against the period before",
    responses=rows_of("Changed", "is_complete", "now", "before"),
)
async def change(request: Request, caller: Reading, asked: Annotated[asking.Grouped, Query()]) -> Response:
    """Each group from `since` to `until`, now if it is not said, against as long a time before `since`."""

    def question(analytics: Analytics) -> Answer:
        answer = analytics.change(asked.question())
        periods = {"now": answer.question, "before": answer.before}
        spans = {name: {"since": period.since, "until": period.until} for name, period in periods.items()}
        return answer, {"is_complete": answer.is_complete, **spans}

    return await _rows(request, caller, asked, question)


@router.get(
    "/compare", tags=["comparisons"], summary="Two sides", responses=rows_of("Compared", "pair", "rule", "level")
)
async def compare(request: Request, caller: Reading, asked: Annotated[asking.Sides, Query()]) -> Response:
    """Two runs, releases, models or periods, name by name: b less a, paired by item where there are pairs.

    p values are also given corrected for the number of names, by Holm and by Benjamini and Hochberg.
    """

    def question(analytics: Analytics) -> Answer:
        answer = analytics.compare(*asked.sides(), asked.pair, asked.level)
        return answer, {"pair": answer.pair, "rule": answer.rule, "level": answer.level}

    return await _rows(request, caller, asked, question)


@router.get(
    "/agreement", tags=["comparisons"], summary="Two judges", responses=rows_of("Agreement", "pair", "rule", "level")
)
async def agreement(request: Request, caller: Reading, asked: Annotated[asking.Sides, Query()]) -> Response:
    """How far two names or judges say the same of the same items: correlation, error, Cohen's kappa."""

    def question(analytics: Analytics) -> Answer:
        answer = analytics.agreement(*asked.sides(), asked.pair, asked.level)
        return answer, {"pair": answer.pair, "rule": answer.rule, "level": answer.level}

    return await _rows(request, caller, asked, question)


@router.get("/worst", tags=["scores"], summary="The worst scores", responses=rows_of("Score"))
async def worst(request: Request, caller: Reading, asked: Annotated[asking.Counted, Query()]) -> Response:
    """The scores with the lowest normalized value, where there is none the lowest value."""
    return await _rows(request, caller, asked, lambda analytics: (analytics.worst(asked.filter(), asked.n), {}))


@router.get("/latest", tags=["scores"], summary="The latest scores", responses=rows_of("Score"))
async def latest(request: Request, caller: Reading, asked: Annotated[asking.Counted, Query()]) -> Response:
    """The scores that were judged last, the latest first."""
    return await _rows(request, caller, asked, lambda analytics: (analytics.latest(asked.filter(), asked.n), {}))


@router.get("/scores", tags=["scores"], summary="Export scores", responses=EXPORT)
async def scores(request: Request, caller: Reading, asked: Annotated[asking.Which, Query()]) -> Response:
    """Every score of a filter as a stream, ordered by project, name and time; JSON lines if nothing else is asked for.

    What fails in the middle breaks the connection off: a response that ends is whole.
    """
    form = format_of(request, asked.format, "jsonl")

    def export() -> Export:
        with caller.analytics.naming_keys(asked.project):
            return caller.analytics.scores(asked.filter())

    return await export_response(request.app.state.exports, export, form)


@router.get("/scores/{score_id:path}", tags=["scores"], summary="One score", responses=SCORE)
async def score(
    request: Request, caller: Reading, score_id: Id, asked: Annotated[asking.InProject, Query()]
) -> Response:
    """One score by its id; slashes in it are taken as they are."""

    def question() -> Response:
        project = caller.project_of(asked.project)
        found = caller.analytics.score(project, score_id)
        if found is None:
            raise _absent(f"no score {score_id!r} in project {project!r}")
        return object_response(found)

    desk: Desk = request.app.state.desk
    return await desk.ask(question)


@router.get("/traces/{trace_id:path}", tags=["scores"], summary="Scores of a trace", responses=rows_of("Score"))
async def trace(
    request: Request, caller: Reading, trace_id: Id, asked: Annotated[asking.InProject, Query()]
) -> Response:
    """The scores of a trace and its observations, in order of time."""

    def question(analytics: Analytics) -> Answer:
        found = analytics.trace(trace_id, asked.project)
        if not found.items:
            raise _absent(f"no score of a trace {trace_id!r}")
        return found, {}

    return await _rows(request, caller, asked, question)


@router.get("/rejections", tags=["pipeline"], summary="Rejected scores", responses=rows_of("Rejected", "is_complete"))
async def rejections(request: Request, caller: Reading, asked: Annotated[asking.OfRejections, Query()]) -> Response:
    """Why records were rejected, from which service, with the latest of them and what to do about it.

    A record whose project could not be read is seen by nobody who may see some projects only.
    """

    def question(analytics: Analytics) -> Answer:
        answer = analytics.rejections(asked.filter(), asked.limit)
        return answer, {"is_complete": answer.is_complete}

    return await _rows(request, caller, asked, question)


@router.get("/health", tags=["pipeline"], summary="Health of the pipeline", responses=HEALTH)
async def health(request: Request, caller: Reading, asked: Annotated[asking.OfHealth, Query()]) -> Response:
    """Rate and latencies of the last minutes, of the projects that the key may see, and how far worker and sink are
    behind."""
    lag: Lag = request.app.state.lag

    def question() -> Response:
        flow = caller.analytics.flow(timedelta(seconds=asked.window_s), datetime.now(UTC))
        return object_response(
            {
                "since": flow.since,
                "until": flow.until,
                "scores": flow.n,
                "scores_per_s": flow.per_s,
                "rejected": flow.rejected,
                "late": flow.late,
                "latency_s": {row.pop("hop"): row for row in flow.rows()},
                "lag": lag.now(),
            }
        )

    desk: Desk = request.app.state.desk
    return await desk.ask(question)


def _absent(message: str) -> RequestRefused:
    return RequestRefused(404, "not_found", message)

"""Query parameters, in the words of `Filter`, `Question` and `scoreline query`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from scoreline.commands.moments import moment_of
from scoreline_analytics.histogram import BINS_MAX
from scoreline_analytics.nearest import listed
from scoreline_analytics.questions import GROUPS_MAX, LEVEL, QUANTILES, Filter, Question
from scoreline_analytics.rejections import GROUPS_MAX as REJECTIONS_MAX
from scoreline_analytics.rejections import RejectionFilter
from scoreline_analytics.scores import SCORES_MAX

LIST_MAX = 100
TEXT_MAX = 1000

Text = Annotated[str, Field(max_length=TEXT_MAX)]
Texts = Annotated[list[Text], Field(max_length=LIST_MAX)]
Format = Literal["json", "jsonl", "csv", "parquet", "arrow"]
Level = Annotated[
    float, Field(gt=0, lt=1, description="Confidence level of the intervals.", examples=[0.95], allow_inf_nan=False)
]
Count = Annotated[int, Field(ge=1, le=SCORES_MAX, description="Scores at most.")]

_SINCE = "So long ago (30s, 15m, 6h, 7d, 2w), a date (UTC), or RFC 3339."


def _moment(text: str | None, now: datetime) -> datetime | None:
    return None if text is None else moment_of(text, now)


class Asked(BaseModel):
    """Parameters of a request; one that does not exist is refused, so that no filter is overlooked."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        unknown = next((name for name in values if name not in cls.model_fields), None)
        if unknown is not None:
            there = listed(unknown, cls.model_fields)
            raise PydanticCustomError(
                "unknown", "no parameter {name}; there are {there}", {"name": repr(unknown), "there": there}
            )
        return values


class Formatted(Asked):
    """An answer of rows."""

    format: Format | None = Field(None, description="Form of the answer; else as Accept says.")


class InProject(Formatted):
    """Within a project."""

    project: Text | None = Field(None, description="The project; by default the key's.", examples=["checkout"])


class Which(InProject):
    """Which scores."""

    name: Texts = Field([], description="Only scores with one of these names.", examples=[["accuracy"]])
    since: Text | None = Field(None, description=f"Only scores judged then or later. {_SINCE}", examples=["7d"])
    until: Text | None = Field(None, description=f"Only scores judged earlier. {_SINCE}")
    where: Texts = Field(
        [],
        description="Conditions: FIELD=VALUE (of several for one field any will do), FIELD!=VALUE, FIELD~TEXT "
        "(contains), value>=0.5, metadata.KEY (has it), !metadata.KEY.",
        examples=[["environment=prod"]],
    )

    def filter(self) -> Filter:
        """As a filter. Raises QueryError."""
        now = datetime.now(UTC)
        return Filter(
            names=tuple(self.name),
            project=self.project,
            since=_moment(self.since, now),
            until=_moment(self.until, now),
            where=tuple(self.where),
        )


class Grouped(Which):
    """Which scores, in which groups."""

    by: Texts = Field(
        ["name"],
        description="Dimensions to group by, instead of name; an empty one: all scores in one group. "
        "/v1/dimensions lists them.",
        examples=[["evaluator_model"]],
    )
    limit: int = Field(1000, ge=1, le=GROUPS_MAX, description="Groups at most: the largest.")
    level: Level = LEVEL

    def question(self) -> Question:
        """As a question. Raises QueryError."""
        which = self.filter()
        return Question(
            names=which.names,
            project=which.project,
            since=which.since,
            until=which.until,
            where=which.where,
            by=tuple(dict.fromkeys(dimension for dimension in self.by if dimension)),
            limit=self.limit,
            level=self.level,
        )


Quantiles = Annotated[list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]], Field(max_length=20)]


class Summarized(Grouped):
    """`/v1/summary`."""

    quantile: Quantiles = Field(list(QUANTILES), description="Exact quantiles: 0.99 is p99.")
    quantiles: bool = Field(True, description="false: none; the rollups then answer, where the question allows.")


class Stepped(Grouped):
    """`/v1/series`."""

    step: Text = Field(description="30s, 5m, 1h, 1d, 1w, 1mo; or minute, hour, day, week, month.", examples=["1h"])
    zone: Text = Field(
        "UTC", description="Time zone in which days, weeks and months begin.", examples=["Europe/Berlin"]
    )
    quantile: Quantiles = Field([], description="Exact quantiles: 0.99 is p99. They are read from the rows.")


class Binned(Grouped):
    """`/v1/histogram`."""

    bins: int = Field(20, ge=1, le=BINS_MAX, description="Bins of numbers, all as wide.")
    low: float | None = Field(None, description="First edge; with `high`.", allow_inf_nan=False)
    high: float | None = Field(None, description="Last edge; with `low`.", allow_inf_nan=False)


class Counted(Which):
    """`/v1/worst` and `/v1/latest`."""

    n: Count = 10


class Sides(Which):
    """`/v1/compare` and `/v1/agreement`."""

    a: Texts = Field(min_length=1, description="Conditions of one side, as `where`.", examples=[["release=v1"]])
    b: Texts = Field(min_length=1, description="Conditions of the other side.", examples=[["release=v2"]])
    pair: Text = Field("auto", description="The dimension that names the item; `none`; or `auto`.")
    level: Level = LEVEL

    def sides(self) -> tuple[Filter, Filter]:
        """Both filters. Raises QueryError."""
        a, b = (self.model_copy(update={"where": [*self.where, *side]}).filter() for side in (self.a, self.b))
        return a, b


class OfValues(Which):
    """`/v1/values/{dimension}`."""

    limit: int = Field(100, ge=1, le=GROUPS_MAX, description="Values at most: the most frequent.")


class OfRejections(InProject):
    """`/v1/rejections`."""

    reason: Texts = Field([], description="Only these reasons.", examples=[["unknown_config"]])
    service: Texts = Field([], description="Only from these services.")
    name: Texts = Field([], description="Only of scores with these names.")
    since: Text | None = Field(None, description=f"Only rejected then or later. {_SINCE}", examples=["24h"])
    until: Text | None = Field(None, description=f"Only rejected earlier. {_SINCE}")
    limit: int = Field(100, ge=1, le=REJECTIONS_MAX, description="Groups at most: the largest.")

    def filter(self) -> RejectionFilter:
        """As a filter. Raises QueryError."""
        now = datetime.now(UTC)
        return RejectionFilter(
            reasons=tuple(self.reason),
            services=tuple(self.service),
            names=tuple(self.name),
            project=self.project,
            since=_moment(self.since, now),
            until=_moment(self.until, now),
        )


class OfHealth(Asked):
    """`/v1/health`."""

    window_s: int = Field(300, ge=1, le=86400, description="How many seconds back rate and latencies are of.")

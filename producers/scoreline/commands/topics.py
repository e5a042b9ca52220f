"""`scoreline topics`: create the pipeline's topics, check those that exist."""

from __future__ import annotations

from dataclasses import asdict

from cyclopts import App

from scoreline.commands.options import Json
from scoreline.commands.terminal import print_json, print_table
from scoreline.kafka import await_broker, ensure_topics
from scoreline.settings import load_settings

app = App(name="topics")
app.command(
    "scoreline_streams.repartition_cli:repartition",
    name="repartition",
    # here, so that the list of commands does not import what only this one needs
    help="""Add partitions to the stopped pipeline, with the state that their ids need.

    Raises raw, enriched, rejected and changelog to SCORELINE_PARTITIONS, a multiple of what there is. Every id stays
    known: the new partitions begin with the state of the old ones. First stop all emitters, let the worker read
    everything, and stop them; the command refuses while one is at work. Interrupted, it is run again. Then start worker
    and sink with the new SCORELINE_PARTITIONS, then the emitters. Needs the extra `streams`. For example:

        SCORELINE_PARTITIONS=8 scoreline topics repartition
    """,
)


@app.default
def topics(*, as_json: Json = False) -> None:
    """Create the topics that are missing and check those that exist; waits until Kafka answers.

    For example:

        SCORELINE_PARTITIONS=8 scoreline topics

    Parameters
    ----------
    as_json
        Print [{"name", "created", "partitions"}].
    """
    settings = load_settings()
    await_broker(settings)
    reports = ensure_topics(settings)
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    print_table(
        ("topic", "partitions", "state"),
        [(report.name, str(report.partitions), "created" if report.created else "exists") for report in reports],
        right=frozenset({"partitions"}),
    )

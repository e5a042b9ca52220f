"""`scoreline topics`: create the pipeline's topics, check those that exist."""

from __future__ import annotations

from dataclasses import asdict

from scoreline.commands.options import Json
from scoreline.commands.terminal import print_json, print_table
from scoreline.kafka import await_broker, ensure_topics
from scoreline.settings import load_settings


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

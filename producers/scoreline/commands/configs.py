"""`scoreline configs`: put score configs onto their compacted topic, and list them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from confluent_kafka import KafkaError, Message, Producer
from cyclopts import App, Parameter

from scoreline.commands.broker import reach_broker
from scoreline.commands.options import Json
from scoreline.commands.readers import decode_json
from scoreline.commands.reading import is_end, open_topic, read
from scoreline.commands.terminal import print_json, print_table
from scoreline.configs import ScoreConfig, decode_config, encode_config
from scoreline.errors import KafkaUnavailable, MalformedRecord
from scoreline.kafka import CALL_TIMEOUT_S, client_options, require_topics
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics

log = logging.getLogger(__name__)

app = App(name="configs", help="Score configs: what a team declares about a score name.")


@dataclass(frozen=True, slots=True)
class Change:
    """What a `put` did about one config."""

    config: ScoreConfig
    """As it is stored now."""
    action: Literal["created", "updated", "unchanged"]


def plan_changes(stored: Mapping[bytes, ScoreConfig], wanted: Iterable[ScoreConfig]) -> list[Change]:
    """What to do so that `wanted` holds, in order.

    A changed config whose version is not above the stored one gets the next version; the same again under the stored
    version or a lower one changes nothing.
    """
    now = dict(stored)
    changes: list[Change] = []
    for config in wanted:
        old = now.get(config.key)
        if old is None:
            changes.append(Change(config, "created"))
        elif config.version > old.version:
            changes.append(Change(config, "updated"))
        elif config.model_copy(update={"version": old.version}) == old:
            changes.append(Change(old, "unchanged"))
        else:
            changes.append(Change(config.model_copy(update={"version": old.version + 1}), "updated"))
        now[config.key] = changes[-1].config
    return changes


def read_configs(settings: Settings) -> dict[bytes, ScoreConfig]:
    """The newest version of every config, by record key, as the topic holds it now.

    A record that is no config is logged and left out. Raises TopicError, KafkaUnavailable.
    """
    topic = declare_topics(settings).configs.name
    configs: dict[bytes, ScoreConfig] = {}
    with open_topic(settings, topic, "beginning") as consumer:
        unread = {position.partition for position in consumer.assignment()}
        deadline = time.monotonic() + CALL_TIMEOUT_S
        for batch in read(consumer):
            for message in batch:
                if is_end(message):
                    unread.discard(cast(int, message.partition()))
                else:
                    _apply(message, configs)
            if not unread:
                return configs
            if batch:
                deadline = time.monotonic() + CALL_TIMEOUT_S
            elif time.monotonic() > deadline:
                raise KafkaUnavailable(f"{topic} at {settings.kafka} gave nothing for {CALL_TIMEOUT_S:g} s")
    raise AssertionError("read() has no end")


def _apply(message: Message, configs: dict[bytes, ScoreConfig]) -> None:
    key, value = message.key() or b"", message.value()
    if value is None:
        configs.pop(key, None)
        return
    try:
        configs[key] = decode_config(value)
    except MalformedRecord as error:
        log.warning("%s@%s is no score config: %s", message.topic(), message.offset(), error)


def put_configs(settings: Settings, configs: Iterable[ScoreConfig]) -> list[Change]:
    """Publish what is new or changed and wait for the acknowledgements; versions as `plan_changes` says.

    Two `put`s of one config at the same time may give it the same version; the later one stays.
    Raises TopicError, KafkaUnavailable.
    """
    changes = plan_changes(read_configs(settings), configs)
    topic = declare_topics(settings).configs.name
    producer = Producer(client_options(settings, acks="all", enable_idempotence=True, partitioner="murmur2"))
    failed: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(f"{(message.key() or b'').decode()}: {error.str()}")

    for change in changes:
        if change.action != "unchanged":
            config = change.config
            producer.produce(topic, encode_config(config), config.key, on_delivery=delivered)
            producer.poll(0)
    unsent = producer.flush(settings.flush_s)
    if unsent or failed:
        raise KafkaUnavailable(
            f"{unsent + len(failed)} configs were not acknowledged by {settings.kafka} within {settings.flush_s:g} s "
            f"(SCORELINE_FLUSH_S){': ' if failed else ''}{'; '.join(failed[:3])}; put them again"
        )
    return changes


def parse_configs(text: str, project: str) -> list[ScoreConfig]:
    """Configs from a JSON array, one JSON object, or an object a line; `project` is for those that name none.

    Raises MalformedRecord, naming the config and the field.
    """
    try:
        parsed = decode_json(text)
    except (ValueError, RecursionError) as whole:
        try:
            parsed = [decode_json(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise MalformedRecord(f"neither JSON nor an object a line: {whole}") from whole
    if not text.strip():
        raise MalformedRecord("there is no config in it")
    items = cast("list[Any]", parsed if isinstance(parsed, list) else [parsed])
    configs: list[ScoreConfig] = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise MalformedRecord(f"config {number}: expected a JSON object, found {json.dumps(item)[:80]}")
        fields = {"project": project, **cast("dict[str, Any]", item)}
        try:
            configs.append(decode_config(json.dumps(fields).encode()))
        except MalformedRecord as error:
            raise MalformedRecord(f"config {number} ({fields.get('id', 'without id')}): {error}") from error
    return configs


@app.command(name="put")
def put(file: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, as_json: Json = False) -> None:
    """Create or change score configs; what is stored already is left alone.

    A changed config gets the next version by itself. Configs without a project belong to SCORELINE_PROJECT. Example:

        echo '{"id": "acc", "name": "accuracy", "data_type": "NUMERIC",
               "min": 0, "max": 1}' | scoreline configs put -

    Parameters
    ----------
    file
        A JSON array, one JSON object, or an object a line; - is stdin.
    as_json
        Print [{"project", "id", "version", "action"}]; action is created, updated or unchanged.
    """
    settings = load_settings()
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"{file} cannot be read: {error}") from error
    configs = parse_configs(text, settings.project)
    reach_broker(settings)
    require_topics(settings)
    changes = put_configs(settings, configs)
    if as_json:
        print_json(
            [
                {"project": c.config.project, "id": c.config.id, "version": c.config.version, "action": c.action}
                for c in changes
            ]
        )
        return
    for change in changes:
        sys.stdout.write(f"{change.config.key.decode()}  version {change.config.version}  {change.action}\n")


@app.command(name="list")
def list_configs(*, as_json: Json = False) -> None:
    """Show every score config.

    For example:

        scoreline configs list

    Parameters
    ----------
    as_json
        Print a JSON array that `scoreline configs put` takes back.
    """
    settings = load_settings()
    reach_broker(settings)
    configs = [config for _, config in sorted(read_configs(settings).items())]
    if as_json:
        print_json([config.model_dump(mode="json", exclude_none=True) for config in configs])
        return
    print_table(_COLUMNS, [_cells(config) for config in configs], right=frozenset({"version"}))


_COLUMNS = ("project", "id", "version", "name", "data_type", "range", "better", "state")


def _cells(config: ScoreConfig) -> Sequence[str]:
    return (
        config.project,
        config.id,
        str(config.version),
        config.name,
        config.data_type.value,
        _range(config),
        "lower" if config.lower_is_better else "higher",
        "archived" if config.archived else "",
    )


def _range(config: ScoreConfig) -> str:
    if config.categories is not None:
        return ", ".join(
            label if number is None else f"{label}={number:g}" for label, number in config.categories.items()
        )
    if config.min is None and config.max is None:
        return ""
    low = "" if config.min is None else f"{config.min:g}"
    high = "" if config.max is None else f"{config.max:g}"
    return f"{low}..{high}"

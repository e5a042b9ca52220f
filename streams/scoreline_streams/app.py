"""The worker as a Faust app: where a raw score goes, wired in one place.

    scores.raw ─► BatchTransport ─► agent ─► Partition ─► read ─► judge_all ─► settle ─► Transactions ─► enriched,
                  (fetch, hold)              (in order)   validate  configs    dedup,     (one each)     rejected,
                                                                               enrich                    changelog,
                                                                                                         offset

`faust -A scoreline_streams.app worker` finds `app` here; `scoreline worker` is the same with checks and help.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faust.types import TP

from scoreline.access import Component
from scoreline.configs import decode_config
from scoreline.errors import ScorelineError
from scoreline.followed import Followed
from scoreline.kafka import await_broker, require_topics, topic_id
from scoreline.lookups import decode_lookup
from scoreline.observe import meter, spans
from scoreline.observe.catalogue import Process
from scoreline.observe.health import health
from scoreline.observe.port import open_port
from scoreline.observe.probing import Prober, kafka_probe
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_streams import metering
from scoreline_streams.credentials import credentials
from scoreline_streams.partition import Context, Counts, Partition, die
from scoreline_streams.transport import BatchApp

log = logging.getLogger(__name__)

REPORT_S = 10.0
WATCH_S = 5.0
TURN_S = 2.0
"""How often the loop shows that it turns, and the lag is looked at."""
HEARTBEAT_S = 2.0
POOL_THREADS = 32
GC_THRESHOLD = 200_000
"""A batch holds some ten thousand objects for a moment; the default of 700 would scan them dozens of times."""


class ScoreApp(BatchApp):
    """The Faust app with the partitions it owns."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics_declared = declare_topics(settings)
        self.group = declare_groups(settings).worker
        self.partitions: dict[int, Partition] = {}
        self.context: Context | None = None
        self._turning: asyncio.Task[None] | None = None
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            self.group,
            broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
            broker_credentials=credentials(settings),
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=settings.partitions,
            stream_wait_empty=False,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=settings.instance_id,
            consumer_max_fetch_size=4 << 20,
            broker_check_crcs=False,
            broker_max_poll_records=settings.batch_events_max,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_request_timeout=max(30.0, settings.session_timeout_s + 1),
            worker_redirect_stdouts=False,
            datadir=str(settings.state_dir / "faust"),
        )

    def is_hungry(self, partition: int) -> bool:
        """Whether records of this partition may be fetched."""
        owned = self.partitions.get(partition)
        return owned is not None and owned.is_hungry

    def feed(self, partition: int) -> None:
        """A batch of this partition is on its way to the agent."""
        owned = self.partitions.get(partition)
        if owned is not None:
            owned.feed()

    async def on_first_start(self) -> None:
        """Wait for Kafka, then insist on the topics: Faust itself would idle without them."""
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        await super().on_first_start()
        self._turning = asyncio.create_task(self._turn())
        loop = asyncio.get_running_loop()
        try:
            self.context = await loop.run_in_executor(None, self._prepare)
        except ScorelineError as error:
            log.critical("%s", error)
            logging.shutdown()
            os._exit(1)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)

    def observe(self) -> None:
        """Begin to count and to tell. Raises SettingsError when the port is taken."""
        meter.start(Process.WORKER)
        spans.start(Process.WORKER)
        health.begin(self.settings.ready_file, self.settings.stall_s, "partitions")
        if open_port(self.settings, health) is not None:
            Prober(health, {"kafka": lambda: kafka_probe(self.settings)})

    async def _turn(self) -> None:
        while True:
            health.turn("event loop")
            if self.partitions:
                metering.measure_lag(self.consumer, self.topics_declared.raw.name, self.partitions)
            await asyncio.sleep(TURN_S)

    def end_turning(self) -> None:
        """The loop is not watched any more; Faust would wait for the task."""
        if self._turning is not None:
            self._turning.cancel()

    def _prepare(self) -> Context:
        await_broker(self.settings, lambda: self.should_stop)
        if self.should_stop:
            log.info("stopped while waiting for Kafka")
            logging.shutdown()
            os._exit(0)
        require_topics(self.settings, Component.WORKER)
        configs = Followed(self.settings, self.topics_declared.configs.name, decode_config)
        lookups = Followed(self.settings, self.topics_declared.lookups.name, decode_lookup)
        for followed in (configs, lookups):
            followed.start()
            followed.catch_up()
        log.info("%d score configs, %d lookups", len(configs.entries), len(lookups.entries))
        return Context(
            settings=self.settings,
            topics=self.topics_declared,
            group=self.group,
            configs=configs,
            lookups=lookups,
            raw_identity=topic_id(self.settings, self.topics_declared.raw.name),
            changelog_identity=topic_id(self.settings, self.topics_declared.changelog.name),
            pool=ThreadPoolExecutor(POOL_THREADS, "scoreline-kafka"),
            seek=self._seek,
            on_change=self.show_readiness,
        )

    async def _seek(self, partition: int, offset: int) -> None:
        await self.consumer.seek_wait({TP(self.topics_declared.raw.name, partition): offset})

    async def check_followed(self) -> None:
        """End the process when configs or lookups are no longer followed: it would judge by old ones for ever."""
        context = self.context
        if context is None:
            return
        for followed in (context.configs, context.lookups):
            try:
                await asyncio.get_running_loop().run_in_executor(context.pool, followed.check, self.settings.stall_s)
            except ScorelineError as error:
                die(str(error))

    def show_readiness(self) -> None:
        """Keep health in step: ready while every assigned partition is open, also with none."""
        waiting = sum(not partition.is_open for partition in self.partitions.values())
        health.say("partitions", f"{waiting} of {len(self.partitions)} are not open" if waiting else None)
        metering.count_partitions(self.partitions.values())

    async def close_partitions(self) -> None:
        """Close all partitions side by side."""
        closing = [self.partitions.pop(number) for number in list(self.partitions)]
        await asyncio.gather(*(partition.close() for partition in closing))
        metering.forget_partitions(partition.number for partition in closing)
        health.say("partitions", "between two assignments")


def create_app(settings: Settings) -> ScoreApp:
    """The worker for `settings`, wired and not yet started."""
    app = ScoreApp(settings)
    app.observe()
    hooks: Any = app  # Faust's decorators are only partly typed
    raw = hooks.topic(app.topics_declared.raw.name, value_type=bytes, acks=False)

    @hooks.on_partitions_revoked.connect
    async def on_revoked(_app: Any, _revoked: set[TP], **_: Any) -> None:
        await app.close_partitions()

    @hooks.on_partitions_assigned.connect
    async def on_assigned(_app: Any, assigned: set[TP], **_: Any) -> None:
        """Only start the work: aiokafka sends no heartbeat until this returns."""
        if any(tp.partition >= settings.partitions for tp in assigned):
            die(f"{app.topics_declared.raw.name} has got partitions beyond SCORELINE_PARTITIONS={settings.partitions}")
        await app.close_partitions()
        assert app.context is not None
        for tp in sorted(assigned):
            app.partitions[tp.partition] = Partition(tp.partition, app.context)
            app.partitions[tp.partition].start()
        metering.rebalanced(settings.partitions)
        app.show_readiness()
        log.info("assigned partitions %s", sorted(app.partitions))

    @hooks.on_before_shutdown.connect
    async def on_before_shutdown(_app: Any, **_: Any) -> None:
        await app.close_partitions()
        app.end_turning()
        health.end()

    @hooks.agent(raw, name="scores")
    async def scores(stream: Any) -> None:
        async for event in stream.events():
            partition = app.partitions.get(event.message.partition)
            if partition is not None:
                await partition.handle(event.value)

    @hooks.task
    async def watch() -> None:
        while not app.should_stop:
            await app.sleep(WATCH_S)
            await app.check_followed()
            for partition in list(app.partitions.values()):
                await partition.check_progress()

    @hooks.task
    async def report() -> None:
        before, at = Counts(), time.monotonic()
        while not app.should_stop:
            await app.sleep(REPORT_S)
            if app.context is None:
                continue
            counts, now = app.context.counts, time.monotonic()
            if counts.records > before.records:
                log.info(
                    "%d records (%.0f/s): %d enriched, %d duplicates, %d rejected",
                    counts.records,
                    (counts.records - before.records) / (now - at),
                    counts.enriched,
                    counts.duplicates,
                    counts.rejected,
                )
            before, at = Counts(counts.records), now
            await asyncio.get_running_loop().run_in_executor(
                app.context.pool, metering.measure_state, list(app.partitions.values())
            )

    return app


def __getattr__(name: str) -> ScoreApp:
    """`app` is made when `faust -A scoreline_streams.app` asks for it, not when the module is imported."""
    if name == "app":
        app = globals()["app"] = create_app(load_settings())
        return app
    raise AttributeError(name)

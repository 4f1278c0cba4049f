"""Everything that the demo needs running, started one after the other and stopped in the other order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from agents.backfill.progress.progress import VersionState
from agents.kafka.batches import PRODUCE_BATCH_BYTES
from agents.kafka.clients import new_admin, new_producer
from agents.registry.audiences import publish_audiences
from agents.topics import create_topics
from app.demo.counts import Follower, MemberCounts
from app.demo.halfway import HALFWAY, Halfway
from app.demo.needs import PARTITIONS, demo_settings, embedded_kafka, free_port, load_audiences, own_kafka
from app.demo.options import DemoOptions
from app.demo.purchases import Purchase, end_of_log
from app.demo.replay import PurchaseReplay, ReplayClock
from app.failures import CommandFailed, message_for_users
from app.kafka.configured import broker_of
from app.kafka.embedded import EmbeddedBroker, log_end
from app.logs import configure_logs
from app.settings.kafka import KafkaSettings
from app.settings.tree import LogsSettings, Settings
from app.worker.worker import Worker
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience

KEPT = {"retention.ms": "-1"}
"""Else a broker removes records by their own dates, which are in the nineties."""
CONNECT_SECONDS = 10.0
WORKER_STOP_SECONDS = 8.0
"""It takes two."""

Tell = Callable[[str], None]
"""Gets what is going on now, for the screen."""


class PartFailed(Exception):
    """The broker or the worker ended by itself; the text has the reason and the end of the log."""


class Stage:
    """Temporary folder, broker, topics, definitions, worker, replay and counted transitions of one demo."""

    def __init__(self, options: DemoOptions, purchases: Sequence[Purchase]) -> None:
        self.options = options
        self.purchases = purchases
        self.audiences: list[Audience] = []
        self.folder: Path
        self.broker: EmbeddedBroker | None = None
        self.settings: Settings
        self.worker: Worker
        self.replay: PurchaseReplay
        self.counts: MemberCounts
        self.follower: Follower
        self.halfway: Halfway
        self._tasks: list[asyncio.Task[None]] = []
        self._working: asyncio.Task[None] | None = None
        self._producer: AIOKafkaProducer | None = None
        self._topics_made: list[str] = []

    # -- start ---------------------------------------------------------------------------------------

    async def start(self, tell: Tell) -> None:
        """Start everything but the replay. Raises CommandFailed and the like; ``stop`` cleans up."""
        self.audiences = load_audiences()
        port = free_port(self.options.port)
        self._make_folder()
        tell("starting a broker" if self.options.broker is None else f"connecting to {self.options.broker}")
        self.settings = demo_settings(await self._broker(), port, self.folder, is_own=self.broker is None)
        tell("making topics and publishing audiences")
        await self._prepare()
        tell("starting the worker; it joins its consumer group")
        self._wire()
        await self._until_ready()

    def _make_folder(self) -> None:
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="turnstile-demo-"))
        except OSError as error:
            hint = "set TMPDIR to a folder that can be written"
            raise CommandFailed(f"no temporary folder can be made: {error}; {hint}") from None
        logs = (self.folder / "demo.log").open("w", encoding="utf-8")
        configure_logs(LogsSettings(format="console", level="info"), logs)

    async def _broker(self) -> KafkaSettings:
        if self.options.broker is not None:
            return own_kafka(self.options.broker)
        self.broker = EmbeddedBroker(self.folder / "broker.log")
        bootstrap = await self.broker.start_async()
        return embedded_kafka(bootstrap)

    async def _prepare(self) -> None:
        self.worker = worker = Worker(self.settings)
        plan = worker.plan
        wanted = dict.fromkeys((*plan.sources, plan.transitions), (PARTITIONS, KEPT))
        compacted = {"cleanup.policy": "compact"}
        try:
            admin = new_admin(worker.broker, request_timeout_ms=int(CONNECT_SECONDS * 1000))
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await admin.start()
                    await create_topics(admin, {**wanted, plan.audiences: (1, compacted)}, 1)
            finally:
                await admin.close()
            # The worker makes those that are missing here.
            self._topics_made = [*plan.names, plan.destinations]
            self._producer = new_producer(
                worker.broker,
                idempotence=self.settings.kafka.idempotence,
                max_batch_size=PRODUCE_BATCH_BYTES,
            )
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._producer.start()
                there = [each for each in self.audiences if each.id != HALFWAY]
                await self._publish(*(PublishedAudience(each, 1) for each in there))
        except (KafkaError, OSError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            if isinstance(error, KafkaConnectionError):
                reason = "no broker answers there"
            where = self.settings.kafka.bootstrap
            raise CommandFailed(f"Kafka at {where} can't be used: {reason}") from None

    def _wire(self) -> None:
        worker = self.worker
        assert self._producer is not None
        self.replay = PurchaseReplay(
            self._producer,
            worker.plan.events[0],
            PARTITIONS,
            self.purchases,
            end_of_log(self.options.until),
            self.options.days_per_second,
        )
        worker.clock = ReplayClock(worker, self.replay)
        (later,) = (each for each in self.audiences if each.id == HALFWAY)
        self.halfway = Halfway(later, self.replay, self._publish, self._state_of_halfway)
        self.counts = MemberCounts(each.id for each in self.audiences)
        self.follower = Follower(worker.new_consumer, worker.plan.transitions, PARTITIONS)

    async def _publish(self, *audiences: PublishedAudience) -> None:
        assert self._producer is not None
        await publish_audiences(self._producer, self.worker.plan.audiences, audiences)

    def _state_of_halfway(self) -> VersionState:
        project = self.halfway.audience.project
        return self.worker.progress.registry.state(project, HALFWAY, 1, self.worker.partitions)

    async def _until_ready(self) -> None:
        self._working = asyncio.create_task(self.worker.run(), name="worker")
        while not (hasattr(self.worker, "feed") and not self.worker.not_ready()):
            self.check()
            await asyncio.sleep(0.05)
        self._tasks.append(asyncio.create_task(self.follower.run(self.counts), name="counts"))

    # -- while it runs -------------------------------------------------------------------------------

    def play(self) -> None:
        """Begin the replay, and have an audience published in the middle of it."""
        self._tasks.append(asyncio.create_task(self.halfway.run(), name="halfway"))
        self._tasks.append(asyncio.create_task(self.replay.run(self.evaluated), name="replay"))

    def check(self) -> None:
        """Raises what ended one of the parts. PartFailed: the user can't mend it."""
        if self._working is not None and self._working.done():
            error = self._working.exception()
            if error is not None and message_for_users(error) is not None:
                raise error  # somebody took the port in the meantime, for one
            raise PartFailed(f"the worker ended: {error!r}\n{self.log_end()}")
        if self.broker is not None and self.broker.has_died:
            raise PartFailed(f"the broker ended: {log_end(self.broker.log_file)}")
        for task in self._tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error

    def evaluated(self) -> int:
        """Records that the worker is done with."""
        return self._counted("records") - self._counted("records", "rekeyed")

    def dead_letters(self) -> int:
        return self._counted("dead_letters")

    def _counted(self, metric: str, label: str | None = None) -> int:
        counter = getattr(self.worker.metrics, metric)
        samples = [each for family in counter.collect() for each in family.samples]
        return int(
            sum(
                each.value
                for each in samples
                if each.name.endswith("_total") and (label is None or label in each.labels.values())
            )
        )

    @property
    def date_ms(self) -> int:
        """What every partition's clock has come to: the date of the figures."""
        clocks = [task.pipeline.stream_time_ms for task in self.worker.evaluator.tasks.values()]
        return min(max(self.replay.start_ms, min(clocks, default=0)), self.replay.end_ms)

    async def all_counted(self) -> bool:
        """The log has ended, and everything that follows from it is counted."""
        replay, tasks = self.replay, self.worker.evaluator.tasks.values()
        if self.halfway.arrival is None:
            return False
        if not replay.ended or self.evaluated() < replay.sent or self.worker.evaluator.paused:
            return False
        for task in tasks:
            pipeline = task.pipeline
            if task.busy or pipeline.sweeping or pipeline.overdue or pipeline.stream_time_ms < replay.end_ms:
                return False
        return await self.follower.caught_up()

    def log_end(self, lines: int = 12) -> str:
        """The last lines of the log; the folder goes when the demo ends."""
        return "\n".join((self.folder / "demo.log").read_text("utf-8", "replace").splitlines()[-lines:])

    # -- stop ----------------------------------------------------------------------------------------

    async def stop(self) -> bool:
        """Stop what was started, whatever it was; the broker and the folder go last.

        False: the worker didn't stop in time, for Kafka is gone or doesn't answer, and still runs.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._working is not None:
            self.worker.stop()
            done, _ = await asyncio.wait({self._working}, timeout=WORKER_STOP_SECONDS)
            if not done:
                self.kill()
                return False
        with contextlib.suppress(KafkaError, OSError):
            if self._producer is not None:
                await self._producer.stop()
            if self.broker is None and self._topics_made:
                await self._delete_topics()
        self.clear()
        return True

    async def _delete_topics(self) -> None:
        admin = new_admin(broker_of(self.settings))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await admin.start()
                await admin.delete_topics(self._topics_made)
        finally:
            await admin.close()

    def kill(self) -> None:
        """Leave nothing, wait for nothing."""
        if self.broker is not None and self.broker.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.broker.pid, signal.SIGKILL)
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """The broker's process and the folder; all that could outlive us."""
        if self.broker is not None:
            self.broker.stop()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

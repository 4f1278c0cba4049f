"""Everything that the demo needs running, started one after the other and stopped in the other order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from agents.definitions import publish
from agents.topics import create_topics
from app.demo import Options
from app.demo.purchases import Purchase, end_of_log
from app.demo.replay import Replay, ReplayClock
from app.demo.tally import Follower, Tally
from app.embedded_broker import EmbeddedBroker
from app.failures import CommandFailed
from app.logs import configure_logs
from app.settings import (
    MIB,
    CacheSettings,
    ClockSettings,
    HttpSettings,
    KafkaSettings,
    LogsSettings,
    Settings,
    TopicsSettings,
    WorkerSettings,
    load_settings,
)
from app.worker import PRODUCE_BATCH_BYTES, Worker, broker_of
from rules.compile import PublishedAudience
from rules.model import Audience
from rules.parse import load_definitions

PARTITIONS = 4
HTTP_PORT = 6066
PORTS_TRIED = 20
KEPT = {"retention.ms": "-1"}
"""Else a broker removes records by their own dates, which are in the nineties."""
CONNECT_SECONDS = 10.0
WORKER_STOP_SECONDS = 8.0

Tell = Callable[[str], None]
"""Gets what is going on now, for the screen."""


class WorkerFailed(Exception):
    """The worker crashed; the text has the reason and the end of its log."""


class Stage:
    """Temporary folder, broker, topics, definitions, worker, replay and tally of one demo."""

    def __init__(self, options: Options, purchases: Sequence[Purchase]) -> None:
        self.options = options
        self.purchases = purchases
        self.audiences: list[Audience] = []
        self.folder: Path
        self.broker: EmbeddedBroker | None = None
        self.settings: Settings
        self.worker: Worker
        self.replay: Replay
        self.tally: Tally
        self.follower: Follower
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
        self.settings = self._settings(await self._broker(), port)
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
        # This broker lets a join take half of the rebalance timeout, and refuses idempotent producers.
        return KafkaSettings(
            bootstrap=bootstrap,
            session_timeout_ms=6_000,
            rebalance_timeout_ms=4_000,
            heartbeat_interval_ms=1_000,
            idempotence=False,
        )

    def _settings(self, kafka: KafkaSettings, port: int) -> Settings:
        name = "turnstile-demo" if self.broker else f"turnstile-demo-{uuid.uuid4().hex[:6]}"
        return Settings(
            kafka=kafka,
            topics=TopicsSettings(prefix=name, partitions=PARTITIONS),
            worker=WorkerSettings(app_id=name, data_dir=self.folder / "rows"),
            clock=ClockSettings(grace_ms=0),
            cache=CacheSettings(block_bytes=64 * MIB, write_buffer_bytes=64 * MIB),
            http=HttpSettings(port=port),
        )

    async def _prepare(self) -> None:
        worker = Worker(self.settings)
        client, plan = worker.broker.client_options(), worker.plan
        wanted = dict.fromkeys((*plan.sources, plan.transitions), (PARTITIONS, KEPT))
        compacted = {"cleanup.policy": "compact"}
        try:
            admin = AIOKafkaAdminClient(**client, request_timeout_ms=int(CONNECT_SECONDS * 1000))
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await admin.start()
                    await create_topics(admin, {**wanted, plan.audiences: (1, compacted)}, 1)
            finally:
                await admin.close()
            self._topics_made = [*wanted, plan.audiences, plan.changelog, *(f"{e}.dlq" for e in plan.events)]
            self._producer = AIOKafkaProducer(
                **client,
                acks="all",
                enable_idempotence=self.settings.kafka.idempotence,
                max_batch_size=PRODUCE_BATCH_BYTES,
            )
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._producer.start()
                await publish(
                    self._producer, plan.audiences, [PublishedAudience(each, 1) for each in self.audiences]
                )
        except (KafkaError, OSError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            where = self.settings.kafka.bootstrap
            raise CommandFailed(f"Kafka at {where} can't be used: {reason}") from None
        self.worker = worker

    def _wire(self) -> None:
        worker = self.worker
        assert self._producer is not None
        self.replay = Replay(
            self._producer,
            worker.plan.events[0],
            PARTITIONS,
            self.purchases,
            end_of_log(self.options.until),
            self.options.days_per_second,
        )
        worker.clock = ReplayClock(worker, self.replay)
        self.tally = Tally(each.id for each in self.audiences)
        self.follower = Follower(worker.new_consumer, worker.plan.transitions, PARTITIONS)

    async def _until_ready(self) -> None:
        self._working = asyncio.create_task(self.worker.run(), name="worker")
        while not (hasattr(self.worker, "feed") and not self.worker.not_ready()):
            self.check()
            await asyncio.sleep(0.05)
        self._tasks.append(asyncio.create_task(self.follower.run(self.tally), name="tally"))

    # -- while it runs -------------------------------------------------------------------------------

    def play(self) -> None:
        """Begin the replay."""
        self._tasks.append(asyncio.create_task(self.replay.run(self.evaluated), name="replay"))

    def check(self) -> None:
        """Raises what ended one of the parts."""
        if self._working is not None and self._working.done():
            error = self._working.exception()
            raise WorkerFailed(f"the worker ended: {error!r}\n{self.log_end()}")
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
        clocks = [lane.pipeline.clock_ms for lane in self.worker.evaluator.lanes.values()]
        return min(max(self.replay.start_ms, min(clocks, default=0)), self.replay.end_ms)

    async def settled(self) -> bool:
        """The log has ended, and everything that follows from it is in the tally."""
        replay, lanes = self.replay, self.worker.evaluator.lanes.values()
        if not replay.ended or self.evaluated() < replay.sent or self.worker.evaluator.paused:
            return False
        for lane in lanes:
            pipeline = lane.pipeline
            if lane.busy or pipeline.sweeping or pipeline.overdue or pipeline.clock_ms < replay.end_ms:
                return False
        return await self.follower.caught_up()

    def log_end(self, lines: int = 12) -> str:
        """The last lines of the log; the folder goes when the demo ends."""
        return "\n".join((self.folder / "demo.log").read_text("utf-8", "replace").splitlines()[-lines:])

    # -- stop ----------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop what was started, whatever it was. The broker goes last but for the folder."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._working is not None:
            self.worker.stop()
            with contextlib.suppress(Exception):  # what made it crash was told by ``check``
                await asyncio.wait_for(self._working, WORKER_STOP_SECONDS)
        with contextlib.suppress(KafkaError, OSError):
            if self._producer is not None:
                await self._producer.stop()
            if self.broker is None and self._topics_made:
                await self._delete_topics()
        self.clear()

    async def _delete_topics(self) -> None:
        admin = AIOKafkaAdminClient(**broker_of(self.settings).client_options())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await admin.start()
                await admin.delete_topics(self._topics_made)
        finally:
            await admin.close()

    def clear(self) -> None:
        """The broker's process and the folder; all that could outlive us."""
        if self.broker is not None:
            self.broker.stop()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)


def load_audiences() -> list[Audience]:
    """The demo's definitions, in the order of their files' names."""
    folder = files("app.demo").joinpath("audiences")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".yaml")), key=lambda e: e.name)
    return load_definitions((each.name, each.read_text("utf-8")) for each in found)


def own_kafka(bootstrap: str) -> KafkaSettings:
    """The user's Kafka: as the settings say, at another address."""
    kafka = load_settings().kafka
    try:
        return KafkaSettings.model_validate({**dict(kafka), "bootstrap": bootstrap})
    except ValidationError:
        raise CommandFailed(f"--broker: must be host:port, got {bootstrap!r}") from None


def free_port(wanted: int | None) -> int:
    """The port for HTTP. Raises CommandFailed when the one that was asked for is taken."""
    candidates = range(HTTP_PORT, HTTP_PORT + PORTS_TRIED) if wanted is None else [wanted]
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    if wanted is not None:
        raise CommandFailed(f"--port: {wanted} on 127.0.0.1 can't be used; another program may have it")
    raise CommandFailed(
        f"no free port from {HTTP_PORT} to {HTTP_PORT + PORTS_TRIED - 1}; give one with --port"
    )


def exit_at_once(stage: Stage | None) -> None:
    """What a second Ctrl-C does: nothing is left, nothing is waited for."""
    if stage is not None:
        if stage.broker is not None and stage.broker.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stage.broker.pid, 9)
        if hasattr(stage, "folder"):
            shutil.rmtree(stage.folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(130)

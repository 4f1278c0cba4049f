"""``bench push``: lists of a million members out of millions of rows, by the real processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from agents.pushes.targets.places import ObjectStorePlace, SftpPlace
from agents.topics import TopicPlan
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic
from bench.lookup.asking import settled
from bench.push.floors import Floor, Floors
from bench.push.lists import Expected, file_of, keys_of, object_of
from bench.push.live import Live, Window
from bench.push.people import People
from bench.push.pusher import SECRET, Pushing, PushProcess, Watched
from bench.push.servers import KEY, minio, sftp
from bench.push.state import copy_stores, make_state
from bench.worker.ours import BenchWorker, worker_plan

KINDS: Final = ("s3", "sftp", "kafka")


@dataclass(frozen=True, slots=True)
class Pushed:
    """One run. Seconds by phase, and CPU seconds of the process of pushes: until an instant holds in all
    partitions, from the stores into the spool, from the spool to the target. Memory: the most meanwhile."""

    kind: str
    beside: str
    rows: int
    bytes: int
    wait_seconds: float
    spool_seconds: float
    deliver_seconds: float
    spool_cpu_seconds: float
    deliver_cpu_seconds: float
    rss_bytes: int

    @property
    def rate(self) -> float:
        """Rows a second, from the rows in the stores to the whole list at its target."""
        return self.rows / (self.spool_seconds + self.deliver_seconds)


@dataclass(frozen=True, slots=True)
class PushPlan:
    """``rate``: events a second beside pushes, 0: no live part; ``seconds``: the window without a push."""

    people: People
    partitions: int
    kinds: Sequence[str]
    gzip: bool
    given_s3: ObjectStorePlace | None
    rate: int
    seconds: float
    warm_up: float
    repeat: int
    with_floors: bool
    settings: Mapping[str, str]


@dataclass(slots=True)
class PushRuns:
    """``peak_bytes``: of the process of pushes, over everything."""

    pushed: list[Pushed] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)
    peak_bytes: int = 0


async def measure(broker: BenchBroker, folder: Path, plan: PushPlan, say: Callable[[str], None]) -> PushRuns:
    """Raises BenchFailed where what came to a target isn't the list."""
    topics = worker_plan(f"bench-{time.time_ns() // 1_000_000}")
    data = await make_state(broker, topics, plan.people, plan.partitions, folder, say)
    own = folder / "pushing"
    copy_stores(data, topics.changelog, own / "pushes" / "rows")
    with ExitStack() as started:
        servers = started.enter_context(_servers(plan, folder))
        sides = Sides(broker, topics, plan, servers, say)
        worker = BenchWorker(broker, topics, plan.partitions, folder / "worker", plan.settings)
        process = PushProcess(broker, topics, plan.partitions, own, KEY)
        started.enter_context(worker)
        started.enter_context(process)
        async with aiohttp.ClientSession() as session:
            await worker.ready(session)
            await process.ready(session)
            sides.pushing = Pushing(broker, topics, process)
            async with sides.pushing.following():
                await sides.pushing.connect(sides.connections())
                found = PushRuns()
                for _ in range(plan.repeat):
                    for kind in plan.kinds:
                        found.pushed.append(await sides.push(kind))
                if plan.rate:
                    live = Live(broker, topics, plan.partitions, plan.rate, folder)
                    say(f"{plan.rate:,} events/s, without a push and beside pushes")

                    async def beside(live: Live) -> None:
                        for kind in plan.kinds:
                            with live.window(kind):
                                found.pushed.append(await sides.push(kind, f"{plan.rate:,} events/s"))

                    await live.run(plan.seconds, plan.warm_up, beside, lambda: settled(worker, session))
                    found.windows = live.windows
                found.peak_bytes = process.used().peak_bytes
                expected = Expected(plan.people)
                await sides.check(expected)
                if plan.with_floors:
                    floors = Floors(
                        broker,
                        plan.people,
                        plan.partitions,
                        servers.s3,
                        servers.sftp,
                        folder,
                        expected,
                        say,
                    )
                    found.floors = await floors.measure(plan.kinds)
    return found


@dataclass(frozen=True, slots=True)
class Servers:
    """``files``: the folder that the SFTP server writes to."""

    s3: ObjectStorePlace | None
    sftp: SftpPlace | None
    files: Path


@contextmanager
def _servers(plan: PushPlan, folder: Path) -> Iterator[Servers]:
    with ExitStack() as started:
        s3 = plan.given_s3
        if s3 is None and "s3" in plan.kinds:
            s3 = started.enter_context(minio(folder))
        server = started.enter_context(sftp(folder)) if "sftp" in plan.kinds else None
        yield Servers(s3, server, folder / "sftp")


class Sides:
    """The targets, and the lists that went there."""

    def __init__(
        self,
        broker: BenchBroker,
        topics: TopicPlan,
        plan: PushPlan,
        servers: Servers,
        say: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._plan = plan
        self._servers = servers
        self._say = say
        self._delivered: list[tuple[str, str, Watched]] = []
        """Kind, topic, run."""
        self.pushing: Pushing

    def connections(self) -> dict[str, str]:
        """YAML by name."""
        secret, found = f"{{secret: {SECRET}}}", {}
        if (s3 := self._servers.s3) is not None:
            found["s3"] = (
                f"{{name: s3, kind: object_store, object_store: {{url: 's3://{s3.bucket}', endpoint: "
                f"'{s3.endpoint}', region: us-east-1, key_id: {s3.key_id}, key: {secret}}}}}"
            )
        if (server := self._servers.sftp) is not None:
            found["sftp"] = (
                f"{{name: sftp, kind: sftp, sftp: {{host: {server.host}, port: {server.port}, user: bench, "
                f"password: {secret}, fingerprints: ['{server.fingerprints[0]}']}}}}"
            )
        return found | {"kafka": "{name: kafka, kind: kafka, kafka: {}}"}

    async def push(self, kind: str, beside: str = "") -> Pushed:
        """Raises BenchFailed."""
        self._say(f"{self._plan.people.members:,} members to {kind}{beside and f', beside {beside}'}")
        topic = ""
        if kind == "kafka":
            topic = f"{self._topics.prefix}-lists-{len(self._delivered)}"
            await make_topic(self._broker.bootstrap, topic, self._plan.partitions)
            watched = await self.pushing.push(kind, "kafka", f"{{topic: {topic}}}")
        else:
            packed = "true" if self._plan.gzip else "false"
            watched = await self.pushing.push(kind, f"{{kind: csv, gzip: {packed}}}", "{}")
        self._delivered.append((kind, topic, watched))
        return Pushed(
            kind,
            beside,
            watched.run.rows,
            watched.run.bytes,
            watched.seconds("snapshot", "spooling"),
            watched.seconds("spooling", "spooled"),
            watched.seconds("spooled", "delivered"),
            watched.cpu_seconds("spooling", "spooled"),
            watched.cpu_seconds("spooled", "delivered"),
            watched.most_rss_bytes,
        )

    async def check(self, expected: Expected) -> None:
        """Every list, where it lies. Raises BenchFailed."""
        self._say("reading every list")
        for kind, topic, watched in self._delivered:
            run = watched.run
            if kind == "kafka":
                expected.check(kind, await keys_of(self._broker, topic, run.rows))
                continue
            s3 = self._servers.s3
            if kind == "s3":
                assert s3 is not None
                data = await object_of(run, s3)
            else:
                data = file_of(run, self._servers.files)
            expected.check_csv(kind, data, run.checksum, self._plan.gzip)

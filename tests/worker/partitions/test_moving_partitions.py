"""Partitions that move between two awaits of a consumer. The consumer is a real member of a real group; the
moment is chosen: right where the code waits, the group's next assignment comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from agents.deliver.consumer.faust_app import Start, deliver_app
from agents.deliver.definitions.starts import FirstStart
from agents.faust.app import worker_app
from agents.faust.hooks import Hooks
from agents.kafka.broker import Broker
from agents.topics import create_topics
from agents.warnings import Warnings
from app.kafka.configured import plan_of
from app.settings.tree import load_settings
from app.worker.assigned import Assigned
from tests.stage.workers import until

PARTITIONS = 4


async def nothing(*_: Any) -> None:
    """No rows, no records."""


class Member:
    """A Faust app that is alone in its group."""

    def __init__(self, app: Any, topic: str) -> None:
        self.app = app
        self.topic = topic
        self.consumer = app.consumer

    @property
    def thread(self) -> Any:
        return self.consumer._thread

    @property
    def kafka(self) -> Any:
        return self.thread._consumer

    @property
    def coordinator(self) -> Any:
        return self.kafka._coordinator

    def is_at_rest(self) -> bool:
        assert self.app.crash_reason is None, self.app.crash_reason
        if self.consumer._thread is None or self.thread._consumer is None:
            return False
        assigned = {tp for tp in self.thread.assignment() if tp.topic == self.topic}
        return len(assigned) == PARTITIONS and not self.app.rebalancing and self.consumer.flow_active

    def move(self) -> None:
        """The next assignment: half of the partitions are another's."""
        kept = [tp for tp in self.kafka.assignment() if tp.topic != self.topic or tp.partition % 2]
        self.kafka._subscription.assign_from_subscribed(kept)

    async def rejoin(self) -> None:
        """Get all partitions back."""
        self.coordinator.request_rejoin()
        await until(lambda: not self.is_at_rest(), "a rebalance begins", 30)
        await until(self.is_at_rest, "the rebalance has ended", 30)


def during(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, happens: Callable[[], object]) -> None:
    """Once, let something happen while ``owner.name`` is awaited: after its answer came."""
    real = getattr(owner, name)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        result = await real(*args, **kwargs)
        happens()
        return result

    monkeypatch.setattr(owner, name, awaited)


@asynccontextmanager
async def living(kafka: str, app: Any, topic: str, *others: str) -> AsyncIterator[Member]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await create_topics(admin, {name: (PARTITIONS, {}) for name in (topic, *others)}, 1)
    finally:
        await admin.close()
    app.finalize()
    await app.start()
    member = Member(app, topic)
    try:
        await until(member.is_at_rest, "the group let it in", 30)
        yield member
    finally:
        await app.stop()


def broker(kafka: str) -> Broker:
    return Broker(kafka, session_timeout_ms=6000, heartbeat_interval_ms=200)


async def test_a_worker_that_loses_partitions_while_it_waits(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, group = f"{topic_prefix}.events", topic_prefix
    app = worker_app(
        app_id=group,
        broker=broker(kafka),
        instance_id=None,
        data_dir=str(tmp_path),
        advertised_url="http://w1",
        sources=[topic],
        table="profiles",
        partitions=PARTITIONS,
        poll_records=10,
        hooks=Hooks(take=nothing, restore=nothing, hand_over=nothing, rebalancing_began=lambda: None),
        warnings=Warnings(),
    )
    async with living(kafka, app, topic, f"{group}-profiles-changelog") as member:
        consumer = member.consumer
        committed = {TP(topic, 1): 7, TP(topic, 2): 7}
        assert await consumer._commit(committed)

        # The committed offsets come for an assignment that is no more.
        during(monkeypatch, member.coordinator, "fetch_committed_offsets", member.move)
        await consumer.perform_seek()
        assert not consumer._read_offset
        assert not consumer._committed_offset
        await member.rejoin()

        # Likewise, in the loop that reads.
        consumer._passed_over = True
        during(monkeypatch, member.coordinator, "fetch_committed_offsets", member.move)
        assert [each async for each in consumer.getmany(0.1)] == []
        await member.rejoin()

        # The beginning is looked for where nothing is committed.
        during(monkeypatch, member.kafka, "seek_to_beginning", member.move)
        await consumer.perform_seek()
        assert not consumer._read_offset
        await member.rejoin()
        assert consumer._committed_offset[TP(topic, 1)] == 7

        # A commit waits for the producer, and then there is nothing left that it may commit.
        during(monkeypatch, app.producer, "flush", member.move)
        assert not await consumer._commit_offsets({TP(topic, 2): 9})
        during(monkeypatch, app.producer, "flush", member.move)
        assert await consumer._commit_offsets({TP(topic, 1): 9, TP(topic, 2): 9})
        await member.rejoin()
        assert {each: consumer._committed_offset[TP(topic, each)] for each in (1, 2)} == {1: 9, 2: 7}

        # A rebalance begins while the positions are sought: the flow stays stopped until that has ended.
        def begins() -> None:
            app.on_rebalance_start()
            consumer.stop_flow()

        consumer.stop_flow()
        during(monkeypatch, member.coordinator, "fetch_committed_offsets", begins)
        await app.tables.recovery.on_recovery_completed(app.consumer_generation_id)
        assert not consumer.flow_active
        member.coordinator.request_rejoin()
        await until(member.is_at_rest, "the rebalance has ended", 30)
        assert consumer._committed_offset[TP(topic, 1)] == 9


class IdleTask:
    """What the app of a destination calls."""

    def __init__(self) -> None:
        self.starts: dict[int, Start] = {}

    def committable_offset(self, partition: int) -> int | None:
        return None

    async def let_go(self) -> None:
        """It has no messages."""

    def begin(self, starts: Any) -> None:
        self.starts = dict(starts)

    async def take(self, partition: int, records: Any) -> None:
        """None is sent."""


async def test_a_deliverer_that_loses_partitions_while_it_waits(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"{topic_prefix}.transitions"
    deliverer = IdleTask()
    app = deliver_app(
        group=topic_prefix,
        broker=broker(kafka),
        instance_id=None,
        data_dir=str(tmp_path),
        topic=topic,
        task=deliverer,
        first_start=FirstStart(1, dict.fromkeys(range(PARTITIONS), 0)),
    )
    async with living(kafka, app, topic) as member:
        for owner, name in (
            (member.coordinator, "fetch_committed_offsets"),
            (member.kafka, "beginning_offsets"),
        ):
            during(monkeypatch, owner, name, member.move)
            await member.consumer.perform_seek()
            assert not deliverer.starts, name
            await member.rejoin()
            assert sorted(deliverer.starts) == list(range(PARTITIONS)), name
        # Nothing is committed yet, and while the beginnings are, the partitions go.
        during(monkeypatch, member.kafka, "commit", member.move)

        async def none(_: Any) -> dict[TopicPartition, Any]:
            return {}

        with monkeypatch.context() as nothing_committed:
            nothing_committed.setattr(member.coordinator, "fetch_committed_offsets", none)
            await member.consumer.perform_seek()
        assert not deliverer.starts
        await member.rejoin()
        assert sorted(deliverer.starts) == list(range(PARTITIONS))


async def test_rows_restored_for_an_assignment_that_is_no_more_are_not_used(tmp_path: Path) -> None:
    """Else their clocks would go on, and write, beside the next owner."""
    settings = load_settings(environ={"TURNSTILE_WORKER__DATA_DIR": str(tmp_path)})
    closed: list[int] = []
    adopted: list[int] = []
    rebalances = 1

    async def opened(partitions: set[int]) -> Any:
        nonlocal rebalances
        rebalances += 1  # it begins while the rows are read
        return {each: SimpleNamespace(close=lambda: closed.append(0)) for each in partitions}, []

    evaluator: Any = SimpleNamespace(
        tasks={}, paused=True, drain=nothing, drop=lambda _: None, adopt=lambda each: adopted.extend(each)
    )
    restorer: Any = SimpleNamespace(open=opened, rows_restored=0)
    watch: Any = SimpleNamespace(check=nothing, check_restored=nothing)
    unused: Any = None
    upkeep: Any = SimpleNamespace(drop=nothing)
    standbys: Any = SimpleNamespace(make_way=lambda _: None)
    plan = plan_of(settings)
    assigned = Assigned(
        plan, unused, unused, evaluator, restorer, watch, unused, unused, unused, upkeep, standbys, unused
    )
    await assigned.restore({0: [TP("events", 0)]}, lambda: rebalances == 1)
    assert (closed, adopted, evaluator.paused) == ([0], [], True)

"""The history of a real log goes into a shadow, until that stands where the live pipeline stands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.backfill.history.extent import extent_of
from agents.backfill.history.history import History
from agents.backfill.history.reader import history_consumer
from agents.backfill.replay.live import LivePartition
from agents.backfill.replay.replayer import NotNear, Replayer
from agents.backfill.replay.skip import Sieve
from agents.backfill.replay.throttle import ReplayLimits, Seen, Throttle
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from agents.kafka.broker import Broker
from rules.compile.rule_set import RuleSet
from rules.state.row import Row
from tables.profiles import Profiles
from tables.store import MemoryStore, RocksMemory, RocksStore, RowStore
from tests.agents.backfill.replay.plain_pipeline import PlainPipeline
from tests.driver.driver import Rec
from tests.stage.compare import rules_of
from tests.stage.log import DEFINITIONS, Log, make_log
from tests.stage.scene import scene

FEW = """
audiences:
  - {id: spenders, name: Spenders, rule: {event: buy, sum: {property: price, gte: 30}, within: 30m}}
  - {id: raters, name: Raters, rule: {event: rate, count: {gte: 2}, within: 8m}}
"""


def stays_of(pipeline: Pipeline, users: Sequence[str]) -> dict[str, dict[int, int]]:
    """By user, the audiences that each is in, and since when."""
    found = {user: pipeline.profiles.read(user.encode()) for user in users}
    stays = {user: stays_in(row) for user, row in found.items() if row is not None}
    return {user: each for user, each in stays.items() if each}


def stays_in(row: Row) -> dict[int, int]:
    return {key: row.since_ms(each) for key, each in row.audiences.items() if each.inside}


class Lab:
    """A live pipeline over a log in Kafka, and a shadow that has its past to compute."""

    def __init__(self, broker: str, topic: str, log: Log, rules: RuleSet, partitions: int) -> None:
        self.broker = broker
        self.places = [TopicPartition(topic, each) for each in range(partitions)]
        self.rules = rules
        self.log = log
        self.live = PlainPipeline(rules)
        self.taken = [0] * partitions

    def pass_live(self, records: int, partition: int = 0) -> None:
        """Let the live pipeline take some more."""
        topic, first = self.places[0].topic, self.taken[partition]
        lines = self.log.parts[partition][first : first + records]
        self.live.take(
            [
                Rec(topic, partition, at, line.timestamp, line.key, line.value)
                for at, line in enumerate(lines, first)
            ]
        )
        self.taken[partition] += len(lines)

    async def replayer(self, store: RowStore, throttle: Throttle | None = None) -> Replayer:
        new_consumer = partial(history_consumer, Broker(self.broker))
        async with new_consumer() as consumer:
            extent = await extent_of(consumer, (), self.places, None)
        shadow = Shadow(self.live, Profiles(store, 1 << 20), self.rules)
        history = History(new_consumer, extent, shadow.position_of)
        live = LivePartition(self.live, lambda: self.places)
        self.told: list[tuple[int, int, str]] = []
        return Replayer(
            shadow,
            history,
            Sieve(self.rules, {}, "none"),
            throttle or Throttle(ReplayLimits(), Seen),
            live,
            lambda *told: self.told.append(told),
            self.live.judge.refuses,
        )


async def until_near(replayer: Replayer, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while not replayer.can_finish():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("definitions", [DEFINITIONS, FEW], ids=["all", "few"])
async def test_a_shadow_ends_with_the_rows_of_the_live_pipeline(
    broker: str, topic_prefix: str, tmp_path: Path, definitions: str
) -> None:
    log = make_log(5, records=6_000, users=200, partitions=1)
    async with scene(broker, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.load(log)
        lab = Lab(broker, stage.events, log, rules_of(definitions), 1)
        lab.pass_live(4_000)
        replayer = await lab.replayer(MemoryStore())
        assert not replayer.can_finish()
        with pytest.raises(NotNear):
            replayer.finish()
        task = asyncio.create_task(replayer.run())
        await until_near(replayer, task)
        lab.pass_live(1_000)
        await until_near(replayer, task)
        lab.pass_live(300)
        replayer.finish()
        assert replayer.shadow.position_of(stage.events, 0) == 5_299
        assert replayer.shadow.stream_time_ms == lab.live.stream_time_ms
        assert isinstance(replayer.shadow, Shadow)
        assert stays_of(replayer.shadow, log.users) == stays_of(lab.live, log.users)
        assert len(stays_of(lab.live, log.users)) > 10
        assert lab.told
        await end(task)


async def test_it_goes_on_where_an_earlier_life_was(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    log = make_log(6, records=4_000, users=100, partitions=1)
    memory = RocksMemory.of(8 << 20, 8 << 20)
    async with scene(broker, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.load(log)
        lab = Lab(broker, stage.events, log, rules_of(FEW), 1)
        lab.pass_live(3_000)
        store = RocksStore(tmp_path / "scratch", memory)
        first = await lab.replayer(store)
        task = asyncio.create_task(first.run())
        await until_near(first, task)
        await end(task)
        first.shadow.flush()
        store.close()
        lab.pass_live(500)
        store = RocksStore(tmp_path / "scratch", memory)
        again = await lab.replayer(store)
        position = again.shadow.position_of(stage.events, 0)
        assert again.history.done == position + 1 > 500
        task = asyncio.create_task(again.run())
        await until_near(again, task)
        again.finish()
        assert isinstance(again.shadow, Shadow)
        assert stays_of(again.shadow, log.users) == stays_of(lab.live, log.users)
        await end(task)
        store.close()


async def test_it_takes_records_of_a_partition_that_its_source_got_meanwhile(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(8, records=3_000, users=100, partitions=2)
    async with scene(broker, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.load(log)
        lab = Lab(broker, stage.events, log, rules_of(FEW), 2)
        (added,) = lab.places[1:]
        lab.places = lab.places[:1]
        lab.pass_live(2_000)
        replayer = await lab.replayer(MemoryStore())
        task = asyncio.create_task(replayer.run())
        await replayer.wait_level()
        lab.places = [*lab.places, added]
        lab.pass_live(2_000, 1)
        await until_near(replayer, task)
        replayer.finish()
        assert replayer.shadow.position_of(stage.events, 1) == lab.taken[1] - 1 > 500
        assert isinstance(replayer.shadow, Shadow)
        assert stays_of(replayer.shadow, log.users) == stays_of(lab.live, log.users)
        await end(task)


async def test_it_waits_while_live_records_are_behind_and_says_so(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(7, records=500, users=50, partitions=1)
    async with scene(broker, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.load(log)
        lab = Lab(broker, stage.events, log, rules_of(FEW), 1)
        lab.pass_live(500)
        seen = [Seen(lag=50_000)]
        replayer = await lab.replayer(MemoryStore(), Throttle(ReplayLimits(), lambda: seen[0]))
        task = asyncio.create_task(replayer.run())
        while not lab.told:
            await asyncio.sleep(0.01)
        assert lab.told[0][2].startswith("live records come first")
        assert replayer.shadow.position_of(stage.events, 0) == -1
        seen[0] = Seen()
        await until_near(replayer, task)
        await end(task)

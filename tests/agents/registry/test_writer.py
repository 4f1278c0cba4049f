"""One writer: edits from several processes at once, each made by whoever read all before it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced, UnknownError
from aiokafka.producer.sender import EndTxnHandler

from agents.kafka.broker import Broker
from agents.kafka.clients import committed_consumer, new_admin, new_consumer, new_producer
from agents.registry.audiences import Audiences, audience_record
from agents.registry.audit import AuditRecord, audit_record, read_audit
from agents.registry.topic import everything_on, publish, read_all
from agents.registry.writer import Change, DefinitionsWriter
from agents.topics import create_topics
from app.kafka.configured import parse_published
from rules.compile.audience import PublishedAudience

PARSE = partial(parse_published, max_samples=1000)
KEY = b"default/fans"
AT = "2026-11-28T00:00:00.000Z"


class Moved(Exception):
    """The version is not the one that was expected."""


def version(number: int, event: str) -> PublishedAudience:
    audience = PARSE(json.dumps({"id": "fans", "name": "Fans", "rule": {"event": event}}), "x")
    return PublishedAudience(audience, number, created_ms=1, by=event)


def edit(event: str, expected: int | None = None) -> Callable[[Audiences], Change[int]]:
    """To the next version, on condition that it was ``expected`` before."""

    def decide(registry: Audiences) -> Change[int]:
        now = registry.published[KEY].version if KEY in registry.published else 0
        if expected is not None and now != expected:
            raise Moved
        told = AuditRecord(
            at=AT, by=event, via="http", project="default", kind="audience", id="fans", action="changed"
        )
        return Change(now + 1, [audience_record(version(now + 1, event))], [audit_record(told)])

    return decide


async def make_topics(broker: Broker, prefix: str) -> None:
    admin = new_admin(broker)
    await admin.start()
    compacted = {"cleanup.policy": "compact"}
    await create_topics(admin, {f"{prefix}.audiences": (1, compacted), f"{prefix}.audit": (1, {})}, 1)
    await admin.close()


class Process:
    """As another process has it."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._registry = Audiences(f"{prefix}.audiences", PARSE)
        self._writer = DefinitionsWriter(broker, f"{prefix}.audit", f"{prefix}.publisher")

    async def change(self, decide: Callable[[Audiences], Change[int]]) -> int:
        return await self._writer.change(self._registry, decide)

    async def read(self) -> Audiences:
        await self._writer.read(self._registry)
        return self._registry


async def everything(broker: Broker, prefix: str) -> tuple[Audiences, list[AuditRecord]]:
    async with new_consumer(broker) as consumer:
        registry = await read_all(consumer, Audiences(f"{prefix}.audiences", PARSE))
    async with new_consumer(broker) as consumer:
        told = [each async for each in read_audit(consumer, f"{prefix}.audit")]
    return registry, [each for each in told if isinstance(each, AuditRecord)]


pytestmark = pytest.mark.broker  # each asks for one by its name


@pytest.fixture(params=["kafka", "embedded"])
def address(request: pytest.FixtureRequest) -> str:
    """With transactions, and without."""
    found: str = request.getfixturevalue(request.param)
    return found


async def test_edits_of_three_writers_at_once_are_made_one_after_the_other(
    request: pytest.FixtureRequest, address: str, topic_prefix: str
) -> None:
    broker = Broker(address)
    await make_topics(broker, topic_prefix)
    writers = [Process(broker, topic_prefix) for _ in range(3)]
    asked = {f"e{number}": writers[number % 3] for number in range(30)}
    made = await asyncio.gather(*(each.change(edit(event)) for event, each in asked.items()))
    registry, told = await everything(broker, topic_prefix)
    assert sorted(made) == list(range(1, 31))
    assert registry.versions == {
        KEY: {number: version(number, event) for event, number in zip(asked, made, strict=True)}
    }
    assert not registry.unusable
    if address == request.getfixturevalue("kafka"):
        async with committed_consumer(broker) as consumer:
            written = [each.key async for each in everything_on(consumer, f"{topic_prefix}.audiences")]
        assert len(written) == 30, "a fenced writer's record is there"
        assert [each.by for each in told] == [event for _, event in sorted(zip(made, asked, strict=True))]
    # Without transactions a change is told after it was made.
    assert sorted(each.by for each in told) == sorted(asked)


async def test_of_many_edits_of_one_version_one_is_made(address: str, topic_prefix: str) -> None:
    broker = Broker(address)
    await make_topics(broker, topic_prefix)
    writers = [Process(broker, topic_prefix) for _ in range(2)]
    await writers[0].change(edit("first"))
    asked = [f"e{number}" for number in range(20)]
    made = await asyncio.gather(
        *(writers[number % 2].change(edit(each, 1)) for number, each in enumerate(asked)),
        return_exceptions=True,
    )
    (winner,) = [each for each, result in zip(asked, made, strict=True) if result == 2]
    assert sum(isinstance(each, Moved) for each in made) == 19
    registry, told = await everything(broker, topic_prefix)
    assert registry.versions[KEY] == {1: version(1, "first"), 2: version(2, winner)}
    assert [each.by for each in told] == ["first", winner]


async def test_who_writes_beside_the_writer_wins_if_first_and_is_mended_if_not(
    address: str, topic_prefix: str
) -> None:
    """Such as another program, which can't be fenced."""
    broker, topic = Broker(address), f"{topic_prefix}.audiences"
    await make_topics(broker, topic_prefix)
    one = Process(broker, topic_prefix)
    seen: list[int] = []

    def decide(registry: Audiences) -> Change[int]:
        change = edit("ours")(registry)
        if not seen:
            asyncio.run_coroutine_threadsafe(intrude(change.result), loop).result()
        seen.append(change.result)
        return change

    async def intrude(number: int) -> None:
        async with new_producer(broker, idempotence=False) as producer:
            await publish(producer, topic, [audience_record(version(number, "theirs"))])

    loop = asyncio.get_running_loop()
    assert await one.change(decide) == 2
    assert seen == [1, 2]
    registry, _ = await everything(broker, topic_prefix)
    assert registry.versions[KEY] == {1: version(1, "theirs"), 2: version(2, "ours")}
    # Of each key the last record is what compaction leaves.
    last: dict[bytes, bytes] = {}
    async with new_consumer(broker) as consumer:
        async for record in everything_on(consumer, topic):
            last[record.key or b""] = record.value or b""
    assert last == dict(map(audience_record, registry.versions[KEY].values()))


async def test_what_decide_raises_ends_the_change_and_nothing_is_written(
    broker: str, topic_prefix: str
) -> None:
    kafka = Broker(broker)
    await make_topics(kafka, topic_prefix)
    one = Process(kafka, topic_prefix)
    with pytest.raises(Moved):
        await one.change(edit("x", 7))
    assert await one.change(lambda registry: Change(len(registry.published))) == 0
    assert (await one.read()).published == {}
    assert await one.change(edit("x", 0)) == 1
    assert (await one.read()).published == {KEY: version(1, "x")}


@pytest.mark.parametrize("ended", [True, False], ids=["committed", "not committed"])
async def test_a_commit_that_is_answered_with_an_unknown_error_is_made_once(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """As Kafka answers while another writer's begin fences this one; nobody knows what became of it."""
    broker = Broker(kafka)
    await make_topics(broker, topic_prefix)
    one, end, answers = Process(broker, topic_prefix), EndTxnHandler.do, [UnknownError()]

    async def answered(handler: EndTxnHandler, node_id: int) -> Any:
        if not answers:
            return await end(handler, node_id)
        if ended:
            await end(handler, node_id)
        raise answers.pop()

    monkeypatch.setattr(EndTxnHandler, "do", answered)
    assert await one.change(edit("x")) == 1
    assert answers == []
    assert await one.change(edit("y", 1)) == 2
    registry, told = await everything(broker, topic_prefix)
    assert registry.versions == {KEY: {1: version(1, "x"), 2: version(2, "y")}}
    assert not registry.unusable
    async with committed_consumer(broker) as consumer:
        written = [each.key async for each in everything_on(consumer, f"{topic_prefix}.audiences")]
    assert len(written) == 2
    assert {each.by for each in told} == {"x", "y"}


async def test_a_writer_that_died_in_its_transaction_published_nothing_and_holds_nobody_up(
    kafka: str, topic_prefix: str
) -> None:
    broker, topic = Broker(kafka), f"{topic_prefix}.audiences"
    await make_topics(broker, topic_prefix)
    dead = new_producer(
        broker, idempotence=True, transactional_id=f"{topic_prefix}.publisher", transaction_timeout_ms=60_000
    )
    await dead.start()
    await dead.begin_transaction()
    key, value = audience_record(version(1, "never"))
    await dead.send_and_wait(topic, value, key, partition=0)
    assert await asyncio.wait_for(Process(broker, topic_prefix).change(edit("ours")), 20) == 1
    registry, _ = await everything(broker, topic_prefix)
    assert registry.versions == {KEY: {1: version(1, "ours")}}
    assert not registry.unusable
    # Whatever is set for records of others.
    others = replace(broker, isolation_level="read_uncommitted")
    async with committed_consumer(others) as consumer:
        seen = await read_all(consumer, Audiences(topic, PARSE))
    assert seen.versions == registry.versions
    with pytest.raises(ProducerFenced):
        await dead.commit_transaction()
    await dead.stop()

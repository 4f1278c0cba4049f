"""Replay: the dead letters of a destination once more through its sink.

Where replays stand is committed in a group of their own (``<group>.replay``). What is refused again goes to
the dead letters again, behind those of this replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from agents.deliver.consumer.progress import Backlog, Progress
from agents.deliver.content.messages import Message, Original, Unreadable, read_transition
from agents.deliver.definitions.published import PublishedDestination, group_of
from agents.deliver.engine.dead_letters import OURS, DeadLetters
from agents.deliver.engine.engine import Engine
from agents.evaluate.transitions import TransitionBody
from agents.kafka.clients import new_admin, new_consumer
from agents.registry.erasures import Erasures
from agents.registry.topic import read_all
from agents.sinks.make import make_sink
from agents.topics import existing
from agents.topics.delivery import dead_letter_topic
from app.deliver.clients import context_of, new_producer, users_of
from app.kafka.configured import broker_of, plan_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings
from rules.time.instants import parse_instant

COMMIT_SECONDS = 1.0


@dataclass(slots=True)
class Replayed:
    """How a replay went. ``left``: not delivered in time; the next replay takes them up."""

    found: int = 0
    delivered: int = 0
    refused: int = 0
    unreadable: int = 0
    other_project: int = 0
    """Of another project than the destination's: it had another one under this name. They are not sent."""
    erased: int = 0
    """Of users who were erased since. They are not sent; only exits with the cause ``delete`` are."""
    left: int = 0
    last_error: str | None = None


def replay_group(prefix: str, published: PublishedDestination) -> str:
    return f"{group_of(prefix, published)}.replay"


async def replay(
    settings: Settings,
    published: PublishedDestination,
    seconds: float = 300.0,
    digests: Callable[[], Set[str]] | None = None,
) -> Replayed:
    """Send the dead letters that are there now; ``seconds`` at most. ``digests`` as of ``secrets_of``."""
    destination, prefix = published.definition, settings.topics.prefix
    secrets = secrets_of(settings, digests, project=destination.secrets_project)
    users, producer = users_of(settings), new_producer(settings)
    topic = dead_letter_topic(prefix, destination.name)
    broker = broker_of(settings)
    consumer = new_consumer(broker, replay_group(prefix, published))
    letters = DeadLetters(producer, prefix, destination.name, plan_of(settings).transitions)
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_result(error)

    sink = make_sink(destination, context_of(settings, secrets))
    progress = Backlog()
    in_flight = settings.deliver.in_flight
    engine = Engine(destination, sink, secrets, users, letters.bury, fail, in_flight, span=progress.span)
    result = Replayed()
    admin = new_admin(broker)
    await producer.start()
    await consumer.start()
    await admin.start()
    try:
        topics = await existing(admin)
        wants = partial(is_sent, destination.project, await _erasures(settings, topics), result)
        sending = asyncio.create_task(
            _send(consumer, topic, topics.get(topic, 0), wants, engine, progress, result)
        )
        waited: set[asyncio.Future[Any]] = {sending, failed}
        done, _ = await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await engine.let_go()
        await _commit(consumer, topic, progress)
        if failed in done:
            raise failed.result()
        if sending in done and not sending.cancelled() and (error := sending.exception()) is not None:
            raise error
    finally:
        await engine.close()
        await users.close()
        await admin.close()
        await consumer.stop()
        await producer.stop()
    report = engine.report
    result.delivered, result.refused = report.delivered, report.dead_letters
    not_sent = result.unreadable + result.other_project + result.erased
    result.left = result.found - result.delivered - result.refused - not_sent
    result.last_error = report.last_error
    return result


async def _send(
    consumer: AIOKafkaConsumer,
    topic: str,
    partitions: int,
    wants: Callable[[TransitionBody], bool],
    engine: Engine,
    progress: Backlog,
    result: Replayed,
) -> None:
    tps = [TopicPartition(topic, each) for each in range(partitions)]
    if not tps:
        return
    consumer.assign(tps)
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(tps)
    for tp in tps:
        progress[tp.partition] = Progress(await consumer.position(tp))
        result.found += max(0, ends[tp] - progress[tp.partition].reached)
    committing = asyncio.create_task(_keep_committing(consumer, topic, progress))
    opening = asyncio.create_task(engine.open())
    try:
        while any(progress[tp.partition].reached < ends[tp] for tp in tps):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                messages = []
                for record in records:
                    if record.offset >= ends[tp]:
                        break
                    message = _message(record)
                    if message is None:
                        result.unreadable += 1
                    elif wants(message.transitions[0]):
                        progress[tp.partition].add(message)
                        messages.append(message)
                    progress[tp.partition].reach(record.offset + 1)
                await engine.put(messages)
        await engine.drained()
    finally:
        for task in (committing, opening):
            task.cancel()
        await asyncio.gather(committing, opening, return_exceptions=True)


async def _erasures(settings: Settings, topics: Mapping[str, int]) -> Erasures:
    erasures = Erasures(plan_of(settings).erasures)
    if erasures.topic in topics:
        async with new_consumer(broker_of(settings)) as consumer:
            await read_all(consumer, erasures)
    return erasures


def is_sent(project: str, erasures: Erasures, result: Replayed, transition: TransitionBody) -> bool:
    """Whether it may be sent; otherwise it is counted why not."""
    if transition.project != project:
        result.other_project += 1
        return False
    erased_ms = erasures.erased_ms(project, transition.user_id)
    if erased_ms is not None and transition.cause != "delete" and parse_instant(transition.at) <= erased_ms:
        result.erased += 1
        return False
    return True


def _message(record: ConsumerRecord[bytes, bytes]) -> Message | None:
    """A dead letter as a message, its record as it lay on the transitions topic. None: no transition."""
    try:
        transition = read_transition(record.value)
    except Unreadable:
        return None
    headers = dict(record.headers)
    original = Original(
        record.key,
        record.value,
        [(name, value) for name, value in record.headers if not name.startswith(OURS)],
        _number(headers.get("source.partition"), 0),
        _number(headers.get("source.offset"), -1),
        _number(headers.get("source.timestamp"), 0),
    )
    return Message(transition.user_id, (transition,), (original,), record.partition, record.offset)


def _number(text: bytes | None, otherwise: int) -> int:
    """What a header says, which others may have written, too."""
    try:
        return int(text or b"")
    except ValueError:
        return otherwise


async def _keep_committing(consumer: AIOKafkaConsumer, topic: str, progress: Backlog) -> None:
    while True:
        await asyncio.sleep(COMMIT_SECONDS)
        await _commit(consumer, topic, progress)


async def _commit(consumer: AIOKafkaConsumer, topic: str, progress: Backlog) -> None:
    offsets = {at: each.committable_offset() for at, each in progress.items()}
    done = {
        TopicPartition(topic, at): OffsetAndMetadata(offset, "")
        for at, offset in offsets.items()
        if offset is not None
    }
    if done:
        await consumer.commit(done)

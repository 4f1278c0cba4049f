"""``turnstile erasures rewrite``: history and dead letters, written again without the users who were erased.

Kafka removes no single record. So what stays is copied to the end of its partition, and everything before is
removed. A kill in between leaves records twice, and the next run puts that right: of imports only those count
that the topic of imports names, and of dead letters the copy is one more letter.

A computation that reads the history meanwhile has to begin again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace

from agents.backfill.history.imports import (
    Import,
    ImportedRun,
    Imports,
    encode_import,
    position_of,
)
from agents.kafka.clients import new_consumer, new_producer
from agents.registry.erasures import Erasures, Receipt, receipt_record
from agents.registry.topic import publish, read_all
from agents.topics.look import Topic, look
from agents.topics.plan import Role, TopicPlan
from app.dlq.letters import REPLAYED_OFFSET
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.rewriting.copying import Copied, Headers, HeadersOf, Record, copy, remove
from app.rewriting.users import ErasedRecords
from app.settings.tree import Settings
from rules.time.instants import format_instant

LETTERS = (Role.DEAD_LETTERS, Role.UNDELIVERED)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A topic, and how many records of erased users were in it."""

    topic: str
    left_out: int


async def rewrite(settings: Settings) -> AsyncIterator[Rewritten]:
    """Rewrite each topic; those without a record of an erased user stay as they are. Raises CommandFailed."""
    plan, broker = plan_of(settings), broker_of(settings)
    async with connected_admin(settings) as admin, new_consumer(broker) as consumer:
        cluster = await look(admin)
        if plan.erasures not in cluster.topics:
            return
        erasures = await read_all(consumer, Erasures(plan.erasures))
        erased = ErasedRecords(frozenset(erasures.before_ms))
        producer = new_producer(broker, idempotence=False)
        await producer.start()
        try:
            rewriting = _Rewriting(plan, admin, consumer, producer, erased)
            for name, topic in sorted(cluster.topics.items()):
                role, began_ms = plan.role_of(name), time.time_ns() // 1_000_000
                if role is Role.HISTORY:
                    left_out = await rewriting.history(topic)
                elif role in LETTERS:
                    left_out = await rewriting.letters(topic)
                else:
                    continue
                receipt = Receipt(format_instant(began_ms), topic=name)
                await publish(producer, plan.erasures, [receipt_record(receipt)])
                yield Rewritten(name, left_out)
        finally:
            await producer.stop()


class _Rewriting:
    def __init__(
        self,
        plan: TopicPlan,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        erased: ErasedRecords,
    ) -> None:
        self._plan = plan
        self._admin = admin
        self._consumer = consumer
        self._producer = producer
        self._erased = erased

    async def letters(self, topic: Topic) -> int:
        """Dead letters, and the notes of those that were sent again. How many were left out."""
        return await self._all(topic, _letter_headers)

    async def history(self, topic: Topic) -> int:
        """What was imported. Raises CommandFailed where an import isn't complete, or others wrote, too."""
        imports = await read_all(self._consumer, Imports(self._plan.imports))
        known = imports.of(topic.name, topic.topic_id.hex())
        if any(each.state == "writing" for each in known):
            raise CommandFailed(f"an import into {topic.name} isn't complete: complete it, or give it up")
        return await self._all(topic, lambda record, _: record.headers, known)

    async def _all(self, topic: Topic, headers_of: HeadersOf, known: list[Import] | None = None) -> int:
        """``known``: what was imported into a history topic."""
        tps = [TopicPartition(topic.name, each) for each in range(topic.partitions)]
        found = [tp for tp in tps if await self._has_erased(tp, known is not None)]
        copied: dict[TopicPartition, Copied] = {}
        for tp in found:
            copied[tp] = await copy(self._consumer, self._producer, tp, self._is_kept, headers_of, _is_note)
        done = [each for each in known or () if each.state == "done"]
        moved = [_moved(each, copied) for each in done] if copied else []
        await publish(self._producer, self._plan.imports, [(each.key, encode_import(each)) for each in moved])
        await remove(self._admin, {tp: each.end for tp, each in copied.items()})
        return sum(each.left_out for each in copied.values())

    def _is_kept(self, record: Record) -> bool:
        return not self._erased.has(record.key, record.value)

    async def _has_erased(self, tp: TopicPartition, is_history: bool) -> bool:
        """Whether there is a record of an erased user. Raises CommandFailed for one that can't be moved."""
        consumer = self._consumer
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end, found = (await consumer.end_offsets([tp]))[tp], False
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                if is_history and position_of(record.headers) is None:
                    raise CommandFailed(
                        f"{tp.topic}/{tp.partition} has records that no import wrote: they would count twice "
                        "while the topic is rewritten, so it isn't"
                    )
                found = found or not self._is_kept(record)
        return found


def _is_note(record: Record) -> bool:
    """Whether it may name the place of a record before it."""
    return any(name == REPLAYED_OFFSET for name, _ in record.headers)


def _letter_headers(record: Record, offsets: Mapping[int, int]) -> Headers:
    """A note of a letter that was sent again names the letter's new place."""
    found: list[tuple[str, bytes | None]] = []
    for name, value in record.headers:
        if name == REPLAYED_OFFSET and value is not None and value.isdigit():
            value = str(offsets.get(int(value), int(value))).encode()
        found.append((name, value))
    return found


def _moved(known: Import, copied: Mapping[TopicPartition, Copied]) -> Import:
    """The import with its runs where their records are now."""
    runs: list[ImportedRun] = []
    for run in known.runs:
        found = copied.get(TopicPartition(known.topic, run.partition))
        if found is None:
            runs.append(run)
            continue
        offsets = [new for old, new in found.offsets.items() if run.begin <= old < run.end]
        begin, end = (min(offsets), max(offsets) + 1) if offsets else (found.end, found.end)
        runs.append(replace(run, begin=begin, end=end, records=len(offsets)))
    return replace(known, runs=tuple(runs))

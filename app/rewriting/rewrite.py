"""``turnstile erasures rewrite``: history and dead letters, written again without the users who were erased.

Kafka removes no single record. So what stays is copied to the end of its partition, and everything before is
removed. A kill in between leaves records twice, and the next run puts that right: of the history only those
count that the topic of imports names, and of dead letters the copy is one more letter.

What no import wrote into a history topic becomes an import with the copying (rule 5 of
``agents.backfill.history.imports``), so it counts once at any moment, and in the order that it had.

A computation that reads the history meanwhile has to begin again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.backfill.history.imports import Import, Imports, encode_import
from agents.kafka.clients import new_consumer, new_producer
from agents.registry.erased_records import ErasedRecords, read_erased
from agents.registry.erasures import Receipt, receipt_record
from agents.registry.topic import publish, read_all
from agents.topics.look import Topic, look
from agents.topics.plan import Role, TopicPlan
from app.dlq.letters import REPLAYED_OFFSET, KeptLetter, is_erased
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.rewriting.copying import Copied, Headers, HeadersOf, IsKept, Record, copy, remove
from app.rewriting.history import HistoryRewriting
from app.settings.limits import limits_of
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
        erased = await read_erased(consumer, plan.erasures, limits_of(settings).formats)
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
        return await self._all(topic, self._is_kept_letter, _letter_headers)

    async def history(self, topic: Topic) -> int:
        """Likewise. Raises CommandFailed where an import isn't complete."""
        known = await self._imports(topic)
        if any(each.state == "writing" for each in known):
            raise CommandFailed(f"an import into {topic.name} isn't complete: complete it, or give it up")
        rewriting = HistoryRewriting(topic, known)

        def is_kept(record: Record) -> bool:
            return rewriting.counts(record) and not self._is_of_erased(record)

        return await self._all(topic, is_kept, rewriting.headers, rewriting)

    async def _imports(self, topic: Topic) -> list[Import]:
        imports = await read_all(self._consumer, Imports(self._plan.imports))
        return imports.of(topic.name, topic.topic_id.hex())

    async def _all(
        self, topic: Topic, is_kept: IsKept, headers_of: HeadersOf, history: HistoryRewriting | None = None
    ) -> int:
        tps = [TopicPartition(topic.name, each) for each in range(topic.partitions)]
        found = [tp for tp in tps if await self._has_others(tp, is_kept)]
        copied: dict[TopicPartition, Copied] = {}
        for tp in found:
            copied[tp] = await copy(self._consumer, self._producer, tp, is_kept, headers_of, _is_note)
        if history is not None and copied:
            changed = history.imports(copied)
            if await self._imports(topic) != history.known:
                raise CommandFailed(
                    f"{topic.name} was imported into, or rewritten, at the same time: this one counts for "
                    "nothing. Give the command again"
                )
            await publish(
                self._producer, self._plan.imports, [(each.key, encode_import(each)) for each in changed]
            )
        await remove(self._admin, {tp: each.end for tp, each in copied.items()})
        return sum(each.left_out for each in copied.values())

    def _is_of_erased(self, record: Record) -> bool:
        """Of history nothing counts that is of somebody who was erased."""
        return self._erased.has(record.key, record.value, None, record.topic, record.headers)

    def _is_kept_letter(self, record: Record) -> bool:
        """A letter of what came after the erasure stays."""
        return not is_erased(KeptLetter(record, dict(record.headers)), self._erased)

    async def _has_others(self, tp: TopicPartition, is_kept: IsKept) -> bool:
        """Whether there is a record that isn't kept."""
        consumer = self._consumer
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                if not is_kept(record):
                    return True
        return False


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

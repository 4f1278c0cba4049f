"""Writing an import into its history topic, from its beginning or from where an earlier process came to.

The order is: note the import as ``writing``, with the offsets at which it begins; write the records of one
partition after another; note it as ``done``, with the offsets at which it ends. A kill at any point leaves
an import that counts for nobody. The same command with the same files finds the last record that it wrote in
each partition by its header, and writes those that come after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import InvalidTimestampError
from msgspec.structs import replace

from agents.backfill.history.imports import Import, ImportedRun, encode_import, position_header, position_of
from agents.kafka.batches import PRODUCE_BATCH_BYTES, Batches
from agents.kafka.clients import new_consumer
from agents.kafka.producer import Producer
from agents.registry.erased_records import NOBODY, ErasedRecords, read_erased
from agents.registry.topic import publish
from agents.topics import existing
from app.failures import CommandFailed
from app.imports.cluster import Ground, read_imports
from app.imports.planning import PlannedImport
from app.imports.sorting import SortedRecord, Sorter
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings

AT_ONCE_RECORDS: Final = 20_000
AT_ONCE_BYTES: Final = 16 * 1024 * 1024
"""Sent before the brokers' answers are waited for."""
WINDOW_RECORDS: Final = 1_000
POLL_MS: Final = 500

Wrote = Callable[[int], None]
"""Gets how many records are in Kafka since the last call."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The last record of an import in a partition."""

    sequence: int
    offset: int
    record: tuple[int, bytes | None, bytes | None]


async def write_import(
    settings: Settings, ground: Ground, planned: PlannedImport, sorter: Sorter, reading: str, wrote: Wrote
) -> tuple[Import, int]:
    """Write what is sorted, and note it as done. Records of users who were erased are left out: how many.

    Raises CommandFailed.
    """
    async with connected_admin(settings) as admin, new_consumer(broker_of(settings)) as consumer:
        producer = _producer(settings)
        await producer.start()
        try:
            erased, receipts = NOBODY, plan_of(settings).erasures
            if receipts in await existing(admin):
                erased = await read_erased(consumer, receipts)
            writing = _Writing(settings, ground, producer, consumer, erased)
            begun = planned.begun or await writing.begin(planned, reading)
            runs = [await writing.write(begun, run, sorter, wrote) for run in begun.runs]
            return await writing.end(begun, runs), writing.left_out
        except InvalidTimestampError:
            raise CommandFailed(
                f"{ground.topic.name} refuses old timestamps: take away what bounds them "
                "(message.timestamp.before.max.ms or message.timestamp.difference.max.ms)"
            ) from None
        finally:
            await producer.stop()


async def abandon_imports(settings: Settings, imports: Sequence[Import]) -> None:
    """Note imports as abandoned: what was written of them never counts."""
    async with connected_admin(settings):
        producer = _producer(settings)
        await producer.start()
        try:
            given_up = [replace(each, state="abandoned", at_ms=_now_ms()) for each in imports]
            topic = plan_of(settings).imports
            await publish(producer, topic, [(each.key, encode_import(each)) for each in given_up])
        finally:
            await producer.stop()


class _Writing:
    def __init__(
        self,
        settings: Settings,
        ground: Ground,
        producer: Producer,
        consumer: AIOKafkaConsumer,
        erased: ErasedRecords,
    ) -> None:
        self._plan = plan_of(settings)
        self._ground = ground
        self._topic = ground.topic
        self._producer = producer
        self._consumer = consumer
        self._erased = erased
        self.left_out = 0
        """Records of users who were erased."""

    async def begin(self, planned: PlannedImport, reading: str) -> Import:
        """Note a new import. Raises CommandFailed when another process was first."""
        if self._others(await read_imports(self._consumer, self._plan, self._topic)):
            raise self._overtaken()
        tps = [TopicPartition(self._topic.name, each) for each in range(self._topic.partitions)]
        ends = await self._consumer.end_offsets(tps)
        runs = tuple(
            ImportedRun(tp.partition, ends[tp], before_ms=self._ground.before_ms[tp.partition]) for tp in tps
        )
        now_ms = _now_ms()
        files = tuple(each.part for each in planned.files)
        begun = Import(
            planned.id,
            self._topic.name,
            self._topic.topic_id,
            "writing",
            reading,
            files,
            runs,
            now_ms,
            now_ms,
        )
        await publish(self._producer, self._plan.imports, [(begun.key, encode_import(begun))])
        # Of processes that note their imports at once, the one whose record came first goes on.
        known = await read_imports(self._consumer, self._plan, self._topic)
        own = next(offset for each, offset in known.items() if each.id == begun.id)
        if any(each.state == "done" or known[each] < own for each in self._others(known, begun.id)):
            given_up = replace(begun, state="abandoned", at_ms=_now_ms())
            await publish(self._producer, self._plan.imports, [(begun.key, encode_import(given_up))])
            raise self._overtaken()
        return begun

    def _others(self, known: Iterable[Import], but: str = "") -> list[Import]:
        """Imports of other processes that began, or were done, since this one looked around."""
        before = {(each.id, each.state) for each in self._ground.imports}
        return [
            each
            for each in known
            if each.state != "abandoned" and each.id != but and (each.id, each.state) not in before
        ]

    def _overtaken(self) -> CommandFailed:
        return CommandFailed(f"another import into {self._topic.name} began just before: try again")

    async def write(self, begun: Import, run: ImportedRun, sorter: Sorter, wrote: Wrote) -> ImportedRun:
        """Write what is missing of one partition; what is there then. Raises CommandFailed."""
        tp = TopicPartition(self._topic.name, run.partition)
        last = await self._last(tp, begun.id, run.begin)
        end = run.begin if last is None else last.offset + 1
        first_ms = last_ms = count = waiting_bytes = 0
        batches: Batches | None = None
        waiting = 0
        seen = 0
        for sequence, record in enumerate(sorter.sorted(run.partition)):
            seen = sequence + 1
            if last is not None and sequence == last.sequence:
                _check_same(tp, record, last)
                wrote(seen)
            if self._erased.has(record.key, record.value):
                self.left_out += 1  # the numbers of the others stay what they are
                continue
            if count == 0:
                first_ms = record.timestamp
            count, last_ms = count + 1, record.timestamp
            if last is not None and sequence <= last.sequence:
                continue
            if batches is None:
                batches = Batches(self._producer, tp.topic, tp.partition, self._ground.largest_bytes)
            header = position_header(begun.id, sequence)
            await batches.add(record.key, record.value, record.timestamp, [header])
            waiting, waiting_bytes = waiting + 1, waiting_bytes + len(record.value)
            if waiting >= AT_ONCE_RECORDS or waiting_bytes >= AT_ONCE_BYTES:
                end = await batches.acknowledged()
                wrote(waiting)
                batches, waiting, waiting_bytes = None, 0, 0
        if batches is not None:
            end = await batches.acknowledged()
            wrote(waiting)
        if last is not None and last.sequence >= seen:
            raise _differs(tp)
        return replace(run, end=end, records=count, first_ms=first_ms, last_ms=last_ms)

    async def end(self, begun: Import, runs: Sequence[ImportedRun]) -> Import:
        """Note the import as done. Raises CommandFailed when somebody gave it up meanwhile."""
        known = {each.id: each for each in await read_imports(self._consumer, self._plan, self._topic)}
        if begun.id in known and known[begun.id].state == "abandoned":
            raise CommandFailed("the import was given up meanwhile (--abandon): nothing of it counts")
        done = replace(begun, state="done", runs=tuple(runs), at_ms=_now_ms())
        await publish(self._producer, self._plan.imports, [(done.key, encode_import(done))])
        return done

    async def _last(self, tp: TopicPartition, import_id: str, begin: int) -> _Last | None:
        """The last record that the import wrote into a partition, found from the end backwards."""
        consumer = self._consumer
        end = (await consumer.end_offsets([tp]))[tp]
        window, upto = WINDOW_RECORDS, end
        while upto > begin:
            start = max(begin, end - window)
            consumer.assign([tp])
            consumer.seek(tp, start)
            found: _Last | None = None
            while await consumer.position(tp) < upto:
                for record in (await consumer.getmany(tp, timeout_ms=POLL_MS)).get(tp, ()):
                    position = position_of(record.headers)
                    if position is None or position[0] != import_id or record.offset >= upto:
                        continue
                    if found is None or position[1] > found.sequence:
                        content = record.timestamp, record.key, record.value
                        found = _Last(position[1], record.offset, content)
            if found is not None:
                return found
            window, upto = window * 10, start
        return None


def _check_same(tp: TopicPartition, record: SortedRecord, last: _Last) -> None:
    if (record.timestamp, record.key, record.value) != last.record:
        raise _differs(tp)


def _differs(tp: TopicPartition) -> CommandFailed:
    return CommandFailed(
        f"what this import wrote to {tp.topic}/{tp.partition} before is not what comes of its files now: "
        "other settings, or another version of Turnstile? Give it up with --abandon, and it begins anew"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _producer(settings: Settings) -> Producer:
    return Producer(broker_of(settings), settings.kafka.idempotence, max_batch_size=PRODUCE_BATCH_BYTES)

"""Recovery: a partition's rows, due index and outboxes from its changelog, in batches.

The store remembers the changelog offset up to which it is complete; what comes after is read with a
consumer of our own, many records at a time (Faust's recovery goes record by record). Transitions that are
not known to be in Kafka (``tables.changelog``) are sent again, with the same ids and bodies.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.broker import Broker
from agents.changelog_records import foreign
from agents.commits import Topics
from agents.consumed import Consumed
from agents.outputs import Outputs, Told
from agents.pipeline import Pipeline
from agents.placement import Place
from agents.restore_ahead import RECORDS, Job, cores, restore_ahead, shares
from agents.steps import DeadLetter, Limits
from agents.warnings import Warnings
from rules.row import Transition
from tables.changelog import ChangelogReader
from tables.codec import Letter
from tables.meta import StoreMeta, decode_meta
from tables.opening import open_store
from tables.profiles import Profiles
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import StoreBroken, StoreInUse, StoreUnusable, wipe

log = structlog.get_logger("turnstile.restore")

LOCKED_SECONDS = 10.0
"""How long a store may stay locked by a process that is ending."""


Pending = Transition | DeadLetter
"""An output that is sent again."""


class PartitionsChanged(Exception):
    """The table was written with another number of partitions; users would be looked for elsewhere."""


@dataclass(slots=True)
class _Reading:
    """One partition while its changelog is read."""

    store: RocksStore
    changelog: ChangelogReader
    end: int


class SourceCutShort(Exception):
    """A source topic ends before what was already taken from it: it was made anew under the old name."""


def changelog_consumer(broker: Broker) -> AIOKafkaConsumer:
    """A consumer outside any group, for changelogs and definitions."""
    return AIOKafkaConsumer(
        **broker.consumer_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )


class Restorer:
    """Opens partitions: store first, then the rest of the changelog. ``ahead`` is what
    other processes may do before (``agents.restore_ahead``); without it all is read here."""

    def __init__(
        self,
        new_consumer: Callable[[], AIOKafkaConsumer],
        directory: Path,
        memory: RocksMemory,
        topics: Topics,
        limits: Limits,
        cache_rows: int,
        ahead: Job | None = None,
    ) -> None:
        self._new_consumer = new_consumer
        self._directory = directory
        self._memory = memory
        self._topics = topics
        self._limits = limits
        self._cache_rows = cache_rows
        self._ahead = ahead
        self.rows_restored = 0
        self.warnings = Warnings()

    def path(self, partition: int) -> Path:
        return self._directory / f"{self._topics.changelog}-{partition}"

    async def ends(self, partitions: set[int]) -> dict[int, int]:
        """The changelog's end offset per partition."""
        async with self._new_consumer() as consumer:
            ends = await consumer.end_offsets([self._tp(each) for each in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def open(self, partitions: set[int]) -> tuple[dict[int, Pipeline], list[Pending]]:
        """Pipelines that are up to date, and the outputs that must be sent before anything else.

        Raises PartitionsChanged. If cancelled, the stores are closed and whole.
        """
        if not partitions:
            return {}, []  # and no consumer: aiokafka's stop raises CancelledError when it comes at once
        readings: dict[int, _Reading] = {}
        try:
            async with self._new_consumer() as consumer:
                await self._open_stores(consumer, partitions, readings)
                if await self._restored_ahead(readings):
                    await self._open_stores(consumer, partitions, readings)
                await self._read(consumer, readings)
        except BaseException:
            for reading in readings.values():
                with contextlib.suppress(StoreBroken, StoreUnusable):
                    reading.store.close()
            raise
        pending: list[Pending] = []
        pipelines: dict[int, Pipeline] = {}
        for partition, reading in readings.items():
            pipelines[partition] = self._pipeline(partition, reading, pending)
        return pipelines, pending

    async def check_sources(
        self, pipelines: Mapping[int, Pipeline], sources: Mapping[int, Sequence[tuple[str, int]]]
    ) -> None:
        """``sources``: which source partitions each of the table's takes.

        Raises SourceCutShort; else the records of a topic made anew would be taken for repetitions.
        """
        taken_of = {
            TopicPartition(*tp): pipeline.position_of(*tp)
            for partition, pipeline in pipelines.items()
            for tp in sources[partition]
        }
        if not taken_of:
            return
        async with self._new_consumer() as consumer:
            ends = await consumer.end_offsets(list(taken_of))
            for tp, taken in taken_of.items():
                if taken >= ends[tp]:
                    ends[tp] = max(ends[tp], await self._fetched_end(consumer, tp))
        for tp, taken in taken_of.items():
            if taken >= ends[tp]:
                raise SourceCutShort(
                    f"{tp.topic}/{tp.partition} ends at offset {ends[tp]}, but offset {taken} was taken "
                    "from it before: the topic was made anew. Start with another worker.app_id, or give "
                    "the new topic another name"
                )

    async def _fetched_end(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
        """The end as a fetch tells it: the embedded broker forgets a batch when it is asked for the end."""
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        await consumer.getmany(timeout_ms=1000, max_records=1)
        return consumer.highwater(tp) or 0

    async def _open_stores(
        self, consumer: AIOKafkaConsumer, partitions: set[int], readings: dict[int, _Reading]
    ) -> None:
        tps = [self._tp(each) for each in sorted(partitions)]
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            path = self.path(tp.partition)
            store, meta_bytes = await self._open_when_free(path)
            meta = decode_meta(meta_bytes) if meta_bytes is not None else None
            if meta is not None and meta.changelog_next > ends[tp]:
                log.warning("changelog_is_shorter_than_store", partition=tp.partition, path=str(path))
                store.close()
                wipe(path)
                store, meta = RocksStore(path, self._memory), None
            meta = meta or StoreMeta(0, b"")
            reader = ChangelogReader(max(meta.changelog_next, begins[tp]), meta.marker)
            readings[tp.partition] = _Reading(store, reader, ends[tp])
            consumer.seek(tp, reader.position)

    async def _restored_ahead(self, readings: dict[int, _Reading]) -> bool:
        """With much to read and several cores, close the stores and let other processes write them."""
        behind = {partition: each.end - each.changelog.position for partition, each in readings.items()}
        behind = {partition: records for partition, records in behind.items() if records > 0}
        if self._ahead is None or sum(behind.values()) < RECORDS or min(len(behind), cores()) < 2:
            return False
        while readings:
            readings.popitem()[1].store.close()
        await restore_ahead(self._ahead, shares(behind, cores()), self._restored)
        return True

    def _restored(self, rows: int) -> None:
        self.rows_restored += rows

    async def _open_when_free(self, path: Path) -> tuple[RocksStore, bytes | None]:
        """A store that is locked may be a dying process's: a while is waited for it. Raises StoreInUse."""
        deadline = time.monotonic() + LOCKED_SECONDS
        while True:
            try:
                return self._open_store(path)
            except StoreInUse:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)

    def _open_store(self, path: Path) -> tuple[RocksStore, bytes | None]:
        """The store and its meta value; a damaged one starts anew, and the changelog brings its rows."""
        opened = open_store(path, self._memory)
        if opened.fault is not None:
            self.warnings.note(
                "store_broken",
                str(path),
                f"the files of {path} were damaged ({opened.fault}); they lie in {opened.aside} now, and the "
                "rows are restored from the changelog",
            )
        return opened.store, opened.meta

    async def _read(self, consumer: AIOKafkaConsumer, readings: dict[int, _Reading]) -> None:
        behind = {partition for partition, each in readings.items() if each.changelog.position < each.end}
        consumer.pause(*(self._tp(partition) for partition in readings if partition not in behind))
        while behind:
            polled = await consumer.getmany(timeout_ms=200, max_records=20_000)
            for tp, records in polled.items():
                reading = readings[tp.partition]
                before = reading.changelog.rows
                reading.store.write(self._read_ours(reading.changelog, records))
                self.rows_restored += reading.changelog.rows - before
                await asyncio.sleep(0)
            for partition in list(behind):
                reading = readings[partition]
                # The position passes records that compaction or a transaction marker left out.
                reading.changelog.position = await consumer.position(self._tp(partition))
                if reading.changelog.position >= reading.end:
                    behind.discard(partition)
                    consumer.pause(self._tp(partition))
                    reading.store.write(Write(meta=reading.changelog.meta))

    def _read_ours(self, changelog: ChangelogReader, records: Sequence[Any]) -> Write:
        """What the records change, but for those that no worker of ours wrote: these are told.

        They are looked for only when the records can't be read. What is read twice says the same twice.
        """
        marker_bytes = changelog.marker_bytes
        try:
            change = changelog.read(records)
            if changelog.marker_bytes != marker_bytes:
                _ = changelog.marker
            return change
        except Exception:
            ours = [each for each in records if not self._is_foreign(each)]
            if len(ours) == len(records):
                raise
            changelog.marker_bytes = marker_bytes
            return changelog.read(ours)

    def _is_foreign(self, record: Any) -> bool:
        fault = foreign(record)
        if fault is not None:
            place = f"{record.topic}/{record.partition}@{record.offset}"
            text = f"no worker wrote this record, and the row before it stays: {fault}"
            self.warnings.note("changelog_foreign", place, text)
        return fault is not None

    def _pipeline(self, partition: int, reading: _Reading, pending: list[Pending]) -> Pipeline:
        changelog = reading.changelog
        marker = changelog.marker
        place = Place(partition, self._topics.partitions, self._topics.rekeyed, self._topics.sources)
        if marker is not None and marker.partitions != place.partitions:
            raise PartitionsChanged(
                f"{self._topics.changelog} was written with {marker.partitions} partitions and now has "
                f"{place.partitions}: a user's place depends on their number"
            )
        profiles = Profiles(reading.store, self._cache_rows, self._cache_rows // 2)
        limits = replace(self._limits, changelog_bytes=self._topics.changelog_bytes)
        pipeline = Pipeline(place, profiles, limits, marker, changelog.used_slots)
        for unreadable in pipeline.refused.unreadable:
            text = f"a note of refused records in {self._topics.changelog}/{partition} can't be read"
            self.warnings.note("note_unreadable", repr(unreadable), text)
        pipeline.outgoing.changelog_next = reading.end
        if marker is not None:
            pipeline.resume(marker.step)
        unsent: list[Pending] = [*changelog.unsent()]
        unsent += [_from_kept(each) for each in changelog.unsent_letters()]
        pending.extend(unsent)
        log.info(
            "partition_restored",
            partition=partition,
            rows=changelog.rows,
            changelog_next=reading.end,
            resent=len(unsent),
        )
        return pipeline

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.changelog, partition)


def _from_kept(letter: Letter) -> DeadLetter:
    """The dead letter that was kept in an outbox."""
    record = Consumed(
        letter.topic,
        letter.partition,
        letter.offset,
        letter.timestamp_ms,
        letter.key,
        letter.value,
        letter.headers,
    )
    return DeadLetter(record, letter.origin, letter.code, letter.message, letter.stage)


async def send_again(
    producer: AIOKafkaProducer, topics: Topics, pending: list[Pending], told: Told | None = None
) -> None:
    """Send what was in outboxes; transitions have the ids and bodies of the first time."""
    outputs = Outputs(producer, topics, told or Told())
    for output in pending:
        outputs.add_again(output)
    await outputs.send()

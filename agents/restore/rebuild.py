"""The changelog written again from the stores on disk, after it was lost.

A store is whole up to its checkpoint, and behind what workers did since by some seconds at most. So the
group's offsets go back to where the store is: what was taken since comes again and gives the same
transitions, with the same ids and bodies. For this no worker may run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from agents.kafka.batches import Batches
from agents.topics.noted import taken_of
from agents.topics.written import WrittenTopics
from tables.codec import CHECKPOINT_KEY, Checkpoint, decode_checkpoint, encode_checkpoint
from tables.meta import StoreMeta, decode_meta, encode_meta
from tables.store import RocksMemory, RocksStore, Write

ROWS = 2_000
"""Read from the store at a time."""
MIB = 1024 * 1024


class RebuildRefused(Exception):
    """A store on disk can't be the source of a changelog; the text says why."""


@dataclass(frozen=True, slots=True)
class LostChangelog:
    """One partition of the changelog as it is now. ``checkpoint``: the last that it holds."""

    partition: int
    begin: int
    end: int
    checkpoint: Checkpoint | None


async def rebuild(
    producer: AIOKafkaProducer,
    path: Path,
    sources: Mapping[str, int],
    topics: WrittenTopics,
    lost: LostChangelog,
    go_back: Callable[[dict[TopicPartition, int]], Awaitable[None]],
) -> int:
    """Write the rows of the store at ``path`` to the end of the changelog's partition; their number.

    ``sources``: partitions of each source topic, the repartition topic included. ``go_back`` commits where
    the group has to go on reading. The checkpoint comes last: what was not written to its end stays refused.
    Raises RebuildRefused, and has then written nothing.
    """
    store = RocksStore(path, RocksMemory.of(8 * MIB, 8 * MIB))
    try:
        meta, checkpoint = _found(store, path, topics, lost)
        size = topics.changelog_bytes
        batches, rows = Batches(producer, topics.changelog, lost.partition, size), 0
        notes = store.notes()  # decisions about records that may be read again
        for key, note in notes:
            await batches.add(key, note)
        for key, value in _rows(store):
            await batches.add(key, value)
            rows += 1
        if rows or notes:
            await batches.acknowledged()
        taken = {
            TopicPartition(name, each): taken_of(checkpoint, name, each)[0]
            for name, count in sources.items()
            for each in range(lost.partition, count, checkpoint.partitions)
        }
        await go_back({tp: offset + 1 for tp, offset in taken.items()})
        encoded = encode_checkpoint(
            replace(checkpoint, ground=replace(checkpoint.ground, whole_from=lost.end))
        )
        last = Batches(producer, topics.changelog, lost.partition)
        await last.add(CHECKPOINT_KEY, encoded)
        end = await last.acknowledged()
        meta = replace(meta, changelog_next=end, checkpoint=encoded, changelog_id=topics.changelog_id)
        store.write(Write(meta=encode_meta(meta)))
    finally:
        store.close()
    return rows


def _found(
    store: RocksStore, path: Path, topics: WrittenTopics, lost: LostChangelog
) -> tuple[StoreMeta, Checkpoint]:
    """What the store remembers. Raises RebuildRefused."""
    name = f"{topics.changelog}/{lost.partition}"
    value = store.meta()
    meta = decode_meta(value) if value is not None else None
    if meta is None or not meta.checkpoint:
        raise RebuildRefused(f"{path} holds no rows")
    checkpoint = decode_checkpoint(meta.checkpoint)
    if checkpoint.partitions != topics.partitions:
        raise RebuildRefused(
            f"{path} was written for {checkpoint.partitions} partitions, and {topics.changelog} has "
            f"{topics.partitions}"
        )
    is_same = not meta.changelog_id or meta.changelog_id == topics.changelog_id
    if lost.checkpoint is None or (is_same and meta.changelog_next > lost.end):
        return meta, checkpoint
    if is_same and lost.begin > lost.checkpoint.ground.whole_from:  # retention took its head
        if meta.changelog_next == lost.end:
            return meta, checkpoint
        raise RebuildRefused(
            f"{name} has records up to offset {lost.end}, and {path} only those up to {meta.changelog_next}: "
            "start a worker there, which reads the rest, and stop it"
        )
    raise RebuildRefused(f"{name} needs nothing: it holds all rows up to the checkpoint at its end")


def _rows(store: RocksStore) -> Iterator[tuple[bytes, bytes]]:
    after = b""
    while rows := store.scan(after, ROWS):
        yield from rows
        after = rows[-1][0]

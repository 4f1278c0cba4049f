"""What the state says of the topics: the last checkpoint of each partition, and what it tells of topics
lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.kafka.placement import MOST_PARTITIONS
from agents.topics.fault import Fault
from agents.topics.look import shown_id
from agents.topics.plan import TopicPlan
from rules.compile.rule_set import EMPTY
from tables.changelog.format import Headers
from tables.codec import (
    CHECKPOINT_KEY,
    Checkpoint,
    Ground,
    decode_checkpoint,
    record_print,
    source_key,
    topic_key,
)

CHANGELOG_MEND = (
    "The rows on disk are left as they are. Stop all workers. Where worker.data_dir still has the rows, "
    "`turnstile topics rebuild-changelog` writes them to the changelog; otherwise start over with another "
    "worker.app_id and topics.prefix"
)
WINDOW_RECORDS = 1_000
"""A partition's last checkpoint is looked for in so many records at its end, then in ten times as many."""


class Knows(Protocol):
    """A partition's checkpoint, or its pipeline."""

    @property
    def ground(self) -> Ground: ...
    @property
    def swept(self) -> str: ...


Taken = Callable[[str], bool]
"""Whether any record of a source topic was taken."""


def taken_of(checkpoint: Checkpoint, topic: str, partition: int) -> tuple[int, int | None]:
    """Offset and ``record_print`` of the last record taken of a source partition; (-1, None): none was."""
    key = source_key(topic, partition, checkpoint.ground.accepted.get(topic, 0))
    return checkpoint.positions.get(key, -1), checkpoint.ground.prints.get(key)


def has_taken(checkpoint: Checkpoint, partition: int, topic: str) -> bool:
    """Whether any record of a source topic was taken by this partition of the table."""
    partitions = range(partition, MOST_PARTITIONS, checkpoint.partitions)
    return any(taken_of(checkpoint, topic, each)[0] >= 0 for each in partitions)


async def last_checkpoints(
    consumer: AIOKafkaConsumer, changelog: str, partitions: Collection[int]
) -> dict[int, Checkpoint]:
    """The last checkpoint of each of these partitions that has one. ``consumer`` is of no group."""
    records = await checkpoint_records(consumer, changelog, partitions)
    return {partition: checkpoint for partition, (checkpoint, _) in records.items()}


async def checkpoint_records(
    consumer: AIOKafkaConsumer, changelog: str, partitions: Collection[int]
) -> dict[int, tuple[Checkpoint, Headers]]:
    """Likewise, with the headers of its record: dead letters that are not known to be in Kafka."""
    tps = [TopicPartition(changelog, each) for each in partitions]
    if not tps:
        return {}
    begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    found: dict[int, tuple[Checkpoint, Headers]] = {}
    window, upto = WINDOW_RECORDS, dict(ends)
    while open_tps := [tp for tp in tps if tp.partition not in found and begins[tp] < upto[tp]]:
        consumer.assign(open_tps)
        starts = {tp: max(begins[tp], ends[tp] - window) for tp in open_tps}
        for tp, start in starts.items():
            consumer.seek(tp, start)
        while behind := [tp for tp in open_tps if await consumer.position(tp) < upto[tp]]:
            for tp, records in (await consumer.getmany(*behind, timeout_ms=200)).items():
                for record in records:
                    if record.key == CHECKPOINT_KEY and record.value:
                        found[tp.partition] = decode_checkpoint(record.value), record.headers
        upto.update(starts)
        window *= 10
    return found


def made_again(plan: TopicPlan, ground: Ground, taken: Taken, ids: Mapping[str, bytes]) -> Iterator[Fault]:
    """The topics that are other ones than the state noted, or that are gone. ``ids``: of those that exist."""
    for name in (*plan.sources, plan.transitions, plan.audiences):
        noted = ground.topics.get(topic_key(name), b"")
        fault = changed(plan, name, noted, ids) if noted else None
        # Where nothing was taken of the old one it doesn't matter.
        if fault is not None and (name not in plan.sources or taken(name)):
            yield fault


def changed(plan: TopicPlan, name: str, before: bytes, ids: Mapping[str, bytes]) -> Fault | None:
    """What is wrong when the topic of that name had the id ``before``; None: it is the same one."""
    now = ids.get(name)
    if now is None:
        return gone(plan, name)
    if not now or not before or now == before:
        return None
    ids_text = f"its id is {shown_id(now)} and was {shown_id(before)}"
    return Fault(name, f"was deleted and made again: {ids_text}", "", *lost(plan, name))


def cut(plan: TopicPlan, tp: TopicPartition, offset: int) -> Fault:
    """A source that does not hold the last record that was taken from it."""
    wrong = f"does not hold the record that was taken from it at offset {offset}: it was made again or cut"
    return Fault(f"{tp.topic}/{tp.partition}", wrong, "", *lost(plan, tp.topic))


async def changed_records(
    consumer: AIOKafkaConsumer,
    taken: Mapping[TopicPartition, tuple[int, int | None]],
    without_id: Collection[str],
) -> dict[TopicPartition, int]:
    """Source partitions that hold another record than the last one taken, or end before it; its offset.

    ``taken``: offset and ``record_print`` of that record. A topic made again is noticed by its id, one that
    was cut by its end; for topics of ``without_id`` the record is read once more (where it is gone, that
    tells nothing).
    """
    found: dict[TopicPartition, int] = {}
    ends = await consumer.end_offsets(list(taken))
    for tp, (offset, known) in taken.items():
        if offset >= ends[tp] and offset >= await _fetched_end(consumer, tp):
            found[tp] = offset
        elif tp.topic not in without_id or known is None:
            continue
        elif await _print_at(consumer, tp, offset) not in (None, known):
            found[tp] = offset
    return found


async def _fetched_end(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """The end as a fetch tells it: the embedded broker forgets a batch when it is asked for the end."""
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    await consumer.getmany(timeout_ms=1000, max_records=1)
    return consumer.highwater(tp) or 0


async def _print_at(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> int | None:
    """``record_print`` of the record at an offset below the end; None: it is gone."""
    consumer.assign([tp])
    consumer.seek(tp, offset)
    while await consumer.position(tp) <= offset:
        for record in (await consumer.getmany(timeout_ms=200, max_records=1)).get(tp, ()):
            if record.offset == offset:
                return record_print(record.timestamp, record.key, record.value)
    return None


def gone(plan: TopicPlan, name: str) -> Fault:
    """A topic that is known to have been there."""
    why, mend = lost(plan, name)
    return Fault(
        name,
        "does not exist any more",
        "",
        why,
        f"Make it again or restore it. Then {mend[0].lower()}{mend[1:]}",
    )


def known_definitions(parts: Iterable[Knows]) -> int:
    """How many definitions the state knows of, at least."""
    return max((max(each.ground.definitions, each.swept != EMPTY.fingerprint) for each in parts), default=0)


def missed_definitions(parts: Iterable[Knows]) -> int:
    """How many must be there for more to be published: all known ones, unless their loss was accepted."""
    return known_definitions(
        each for each in parts if not each.ground.version_floor or each.ground.definitions
    )


def emptied(plan: TopicPlan, found: int, known: int) -> Fault:
    """The definitions topic, when it holds less than the state knows of."""
    wrong = f"holds {found} definitions, but at least {int(known)} were known"
    return Fault(plan.audiences, wrong, "", *lost(plan, plan.audiences))


def lost(plan: TopicPlan, name: str) -> tuple[str, str]:
    """Why it matters that a topic is not the one that it was, and what mends it."""
    if name == plan.changelog:
        return (
            "rows would be missing, and transitions would come with ids that others had before",
            CHANGELOG_MEND,
        )
    if name == plan.audiences:
        return (
            "users would drop out of all audiences that are not published any more, without an exit",
            f"Stop all workers, run {_accept(name)}, publish every definition again with "
            "`turnstile audiences apply FILES`, then start the workers",
        )
    if name == plan.transitions:
        return (
            "transitions that were not delivered yet are gone with it",
            f"Stop all workers and run {_accept(name)}: transitions from now on are written to the new topic",
        )
    if name == plan.repartition:
        return (
            "records that were not read yet are gone with it",
            f"Stop all workers and run {_accept(name)}: the new topic is read from its beginning",
        )
    return (
        "its records would be taken for records that were read before, and dropped",
        f"Stop all workers and run {_accept(name)}: the new topic is read from its beginning, with the state "
        "as it is",
    )


def _accept(name: str) -> str:
    return f"`turnstile topics accept {name}`"

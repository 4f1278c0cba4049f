"""Accepting a topic that was made again under its old name: the state forgets what it took of the old one.

For this no worker may run. Offsets go back first, then each partition's checkpoint follows: a crash in
between is met by the same refusal as before, and the command can be given again.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from agents.kafka.batches import Batches
from agents.kafka.placement import MOST_PARTITIONS
from agents.topics.look import Topic
from agents.topics.noted import changed_records, taken_of
from agents.topics.plan import TopicPlan
from tables.changelog.format import Headers
from tables.codec import CHECKPOINT_KEY, Checkpoint, encode_checkpoint, source_key, topic_key


async def stale_partitions(
    consumer: AIOKafkaConsumer, plan: TopicPlan, topic: Topic, checkpoints: Mapping[int, Checkpoint]
) -> list[int]:
    """The partitions of the table whose state is of another topic than the one that has the name now."""
    name, topic_id = topic.name, topic.topic_id
    stale = {
        partition
        for partition, checkpoint in checkpoints.items()
        if checkpoint.ground.topics.get(topic_key(name), topic_id) != topic_id
    }
    if name in plan.sources:
        taken = {
            TopicPartition(name, each): taken_of(checkpoint, name, each)
            for partition, checkpoint in checkpoints.items()
            for each in range(partition, topic.partitions, checkpoint.partitions)
            if taken_of(checkpoint, name, each)[0] >= 0
        }
        if taken:
            found = await changed_records(consumer, taken, () if topic_id else (name,))
            tables = {checkpoint.partitions for checkpoint in checkpoints.values()}
            stale |= {tp.partition % table for tp in found for table in tables}
    return sorted(stale)


def accepted(
    plan: TopicPlan, topic: Topic, partition: int, checkpoint: Checkpoint, definitions: int, now_ms: int
) -> Checkpoint:
    """The checkpoint that goes on with the new topic. ``definitions``: how many the definitions topic
    holds."""
    name, ground, positions = topic.name, checkpoint.ground, dict(checkpoint.positions)
    ground = replace(ground, topics={**ground.topics, topic_key(name): topic.topic_id})
    if name in plan.events:  # its partitions have other keys from now on
        ground = replace(ground, accepted={**ground.accepted, name: now_ms})
    if name == plan.repartition:
        old = {source_key(name, each) for each in range(partition, MOST_PARTITIONS, checkpoint.partitions)}
        positions = {key: offset for key, offset in positions.items() if key not in old}
    if name == plan.audiences:
        ground = replace(ground, definitions=definitions, version_floor=ground.top_version)
    return replace(checkpoint, positions=positions, ground=ground)


async def write_checkpoints(
    producer: AIOKafkaProducer, changelog: str, checkpoints: Mapping[int, tuple[Checkpoint, Headers]]
) -> None:
    """Append checkpoints, with the headers of those before; returns when all replicas have them."""
    for partition, (checkpoint, headers) in checkpoints.items():
        batches = Batches(producer, changelog, partition)
        await batches.add(CHECKPOINT_KEY, encode_checkpoint(checkpoint), None, list(headers))
        await batches.acknowledged()


async def set_offsets(group: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit offsets for a group without members. ``group``: a consumer of it, started, nothing assigned."""
    if offsets:
        group.assign(list(offsets))
        await group.commit({tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})

"""Topics changed under a test, which goes on when each broker knows and its logs follow.

Only here and in ``agents.topics.make`` an admin client changes topics, because the controller answers before
its brokers have heard (``tests/test_topics_are_waited_for.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import count

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import for_code

from agents.topics.everywhere import until_everywhere
from agents.topics.look import Topic
from agents.topics.make import create_topics, set_configs

MARK = "file.delete.delay.ms"
"""A setting that no test has anything to do with."""
_MARKS = count(60_001)


async def make_topic(
    admin: AIOKafkaAdminClient, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """One copy of each partition."""
    await create_topics(admin, {name: (partitions, configs or {})}, 1)


async def configure(admin: AIOKafkaAdminClient, topic: str, configs: Mapping[str, str]) -> None:
    """Give settings of a topic values, the others stay. Logs obey them when this returns.

    A broker shows a setting before its logs follow it, and takes up one change after the other: when it shows
    one that was made after it had shown the first, its logs follow the first.
    """
    await set_configs(admin, topic, configs)
    await set_configs(admin, topic, {MARK: str(next(_MARKS))})


async def grow(
    admin: AIOKafkaAdminClient, topic: str, partitions: int, producer: AIOKafkaProducer | None = None
) -> None:
    """Add partitions to a topic, up to this number; ``producer`` knows them, too."""
    await admin.create_partitions({topic: NewPartitions(partitions)})

    def has_grown(found: Mapping[str, Topic]) -> bool:
        return topic in found and found[topic].partitions >= partitions and found[topic].is_led

    await until_everywhere(admin, [topic], has_grown, f"{topic}: grown to {partitions} partitions")
    if producer is not None:
        await producer.client.force_metadata_update()


async def delete_topics(admin: AIOKafkaAdminClient, topics: Collection[str]) -> None:
    """Delete topics; they are gone when this returns."""
    answer = await admin.delete_topics(list(topics))
    refused = {topic: for_code(code).__name__ for topic, code in answer.topic_error_codes if code}
    assert not refused, refused
    await until_everywhere(admin, topics, lambda found: not found, f"{', '.join(sorted(topics))}: deleted")

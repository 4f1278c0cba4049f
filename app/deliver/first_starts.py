"""Where each destination begins: as was decided once, otherwise decided now and written to its topic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace

from agents.deliver.definitions.published import DestinationsFeed, PublishedDestination, group_of
from agents.deliver.definitions.starts import (
    FirstStart,
    decide_start,
    encode_start,
    members_now,
    start_key,
    start_over,
)
from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.topics.delivery import destinations_topic
from agents.topics.look import Topic, look


@dataclass(frozen=True, slots=True)
class FirstStarts:
    """``read`` waits until the feed knows what was written: its argument says whether it does."""

    prefix: str
    transitions: str
    broker: Broker
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    feed: DestinationsFeed
    read: Callable[[Callable[[], bool]], Awaitable[None]]

    async def of(self, published: PublishedDestination) -> FirstStart:
        """The destination's first start, for good."""
        name = published.definition.name
        # Partitions may have been added since the start, and the topic may have been made again.
        topic = (await look(self.admin, [self.transitions])).topics[self.transitions]

        def is_known() -> bool:
            found = self._known(published)
            if found is None or found.lacks_members(published.definition.existing_members):
                return False
            return found.topic_id == (topic.topic_id or found.topic_id)

        if not is_known():
            decided = await self._decide(published, topic)
            await self.producer.send_and_wait(
                destinations_topic(self.prefix), encode_start(decided), start_key(name), partition=0
            )
            await self.read(is_known)
        start = self._known(published)
        assert start is not None
        return start

    def _known(self, published: PublishedDestination) -> FirstStart | None:
        found = self.feed.registry.starts.get(published.definition.name)
        return found if found is not None and found.generation == published.generation else None

    async def _decide(self, published: PublishedDestination, topic: Topic) -> FirstStart:
        before, existing = self._known(published), published.definition.existing_members
        name, partitions, topic_id = self.transitions, topic.partitions, topic.topic_id
        async with new_consumer(self.broker, group_of(self.prefix, published)) as consumer:
            if before is None:
                return await decide_start(
                    consumer, name, partitions, published.generation, existing, topic_id
                )
            if before.is_of_another(topic_id):
                again = replace(before, members_first=before.members_first or existing)
                return await start_over(consumer, name, partitions, again, topic_id)
            if before.lacks_members(existing):
                return await members_now(consumer, name, partitions, before, topic_id)
            return replace(before, topic_id=topic_id)  # an older version noted no id

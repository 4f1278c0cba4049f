"""The topic of API keys, for one command: what is on it, and changing it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.registry.api_keys import KeyRecord, KeyUnusable
from agents.registry.api_keys_feed import publish_key, read_keys
from agents.topics import existing, make_missing
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings

READ_SECONDS = 60.0


class KeysTopic:
    """The topic on a broker that answers. Made by ``connected``."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._plan = plan_of(settings)
        self.name = self._plan.keys
        self._admin = admin
        self._replication = settings.topics.replication
        self._broker = broker_of(settings)

    async def read(self) -> Mapping[str, KeyRecord | KeyUnusable]:
        """Everything on it by name, revoked ones too; nothing when there is no such topic yet."""
        if self.name not in await existing(self._admin):
            return {}
        consumer = AIOKafkaConsumer(**self._broker.consumer_options(), enable_auto_commit=False)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await consumer.start()
                return await read_keys(consumer, self.name)
        finally:
            await consumer.stop()

    async def write(self, name: str, key: KeyRecord) -> None:
        """Publish one; the topic is made when it is missing. Returns when all replicas have it."""
        await make_missing(self._admin, [self._plan.keys_topic()], self._replication)
        producer = AIOKafkaProducer(**self._broker.client_options(), acks="all")
        try:
            await producer.start()
            await publish_key(producer, self.name, name, key)
        finally:
            await producer.stop()


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[KeysTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield KeysTopic(settings, admin)

"""A topic of definitions, for one command: what is on it, and changing it."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.kafka.clients import committed_consumer, new_producer
from agents.registry.audit import AuditRecord, audit_record
from agents.registry.registry import Registry
from agents.registry.topic import publish, read_all
from agents.topics import existing, make_missing
from agents.topics.plan import TopicPlan, Wanted
from app.failures import tell_unusable
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings

READ_SECONDS = 60.0

AnyRegistry = TypeVar("AnyRegistry", bound=Registry[Any, Any])


class DefinitionsTopic(ABC):
    """One topic on a broker that answers. ``admin`` is connected; each kind of definitions has a subclass."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self.settings = settings
        self.admin = admin
        self.broker = broker_of(settings)
        self.plan = plan_of(settings)
        self._wanted = self.wanted(self.plan)

    @staticmethod
    @abstractmethod
    def wanted(plan: TopicPlan) -> Wanted:
        """How the topic is made."""

    @property
    def name(self) -> str:
        return self._wanted.name

    async def exists(self) -> bool:
        return self.name in await existing(self.admin)

    async def read_into(self, registry: AnyRegistry, *, tell: bool = True) -> AnyRegistry:
        """Have a registry take everything that is published; nothing when there is no such topic yet.

        ``tell``: say on standard error which records can't be used and are passed by. Raises TimeoutError.
        """
        if not await self.exists():
            return registry
        consumer = committed_consumer(self.broker)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await consumer.start()
                await read_all(consumer, registry)
        finally:
            await consumer.stop()
        if tell:
            tell_unusable(registry.unusable.values())
        return registry

    async def write_records(
        self, records: Iterable[tuple[bytes, bytes | None]], changes: Iterable[AuditRecord] = ()
    ) -> None:
        """Write records, given as (key, value), and tell the changes on the audit topic; the topics are made
        when they are missing.

        Returns when all replicas have them. That a change couldn't be told is said on standard error: it is
        made.
        """
        there = await existing(self.admin)
        missing = [each for each in (self._wanted, self.plan.audit_topic()) if each.name not in there]
        if missing:
            await make_missing(self.admin, missing, self.settings.topics.replication)
        # Not idempotent, which takes a right that clients may lack: a definition written twice does no harm.
        producer = new_producer(self.broker, idempotence=False)
        try:
            await producer.start()
            await publish(producer, self.name, records)
            try:
                await publish(producer, self.plan.audit, map(audit_record, changes))
            except KafkaError as error:
                print(
                    f"the change is made, but {self.plan.audit} doesn't have it: {error!r}", file=sys.stderr
                )
        finally:
            await producer.stop()

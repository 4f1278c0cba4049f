"""The destinations topic, for one command: what is on it, and changing it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    publish,
    read_published,
)
from agents.deliver.permissions.permitted import refusals, secrets_in, topic_refusals
from agents.topics import existing, make_missing
from app.failures import CommandFailed, tell_unusable
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.publish.files import read_definition_files
from app.publish.permitted import own_topics_of, secrets_of
from app.settings.tree import Settings
from rules.parse.problems import name_hint

READ_SECONDS = 60.0


def load_destination_files(paths: Sequence[Path]) -> list[Destination]:
    """The destinations of files and folders. Raises DefinitionsInvalid with every problem."""
    texts, problems = read_definition_files(paths)
    return load_destinations(texts, problems)


def check_permitted(settings: Settings, wanted: Sequence[Destination]) -> str | None:
    """What isn't looked at, because only the settings of delivery workers tell it; None: all is.

    Raises CommandFailed with all that the settings refuse.
    """
    own = own_topics_of(settings)
    knows_secrets = "secrets" in settings.deliver.model_fields_set
    refused = [
        f"destination {each.name}: {reason}"
        for each in wanted
        for reason in (
            refusals(each, secrets_of(settings, project=each.project), own)
            if knows_secrets
            else topic_refusals(each, own)
        )
    ]
    if refused:
        raise CommandFailed("\n".join(refused))
    if knows_secrets or not any(map(secrets_in, wanted)):
        return None
    return "the settings here declare no deliver.secrets, so whether delivery workers have them isn't known"


class DestinationsTopic:
    """The topic on a broker that answers. Made by ``connected``."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self.admin = admin
        self._plan = plan_of(settings)
        self.name = self._plan.destinations
        self._replication = settings.topics.replication
        self._broker = broker_of(settings)
        self._exists = False
        self.versions: Mapping[str, int] = {}
        """Of records that can't be used; known after a ``read``."""

    async def read(self) -> dict[str, PublishedDestination]:
        """Everything that is published, deleted ones too; nothing when there is no such topic yet.

        Records that can't be used are told on standard error, and passed by.
        """
        self._exists = self.name in await existing(self.admin)
        if not self._exists:
            return {}
        consumer = AIOKafkaConsumer(**self._broker.consumer_options(), enable_auto_commit=False)
        try:
            async with asyncio.timeout(READ_SECONDS):
                await consumer.start()
                found = await read_published(consumer, self.name)
        finally:
            await consumer.stop()
        tell_unusable(found.unusable.values())
        self.versions = found.versions
        return found.published

    async def find(self, name: str) -> PublishedDestination:
        """One that isn't deleted. Raises CommandFailed."""
        published = {key: each for key, each in (await self.read()).items() if not each.deleted}
        if name not in published:
            hint = f"; {name_hint(name, published)}" if published else ": none is published"
            raise CommandFailed(f"there is no destination '{name}'{hint}")
        return published[name]

    async def write(self, published: Sequence[PublishedDestination]) -> None:
        """Publish after a ``read``; the topic is made when it was missing."""
        if not published:
            return
        if not self._exists:
            await make_missing(self.admin, [self._plan.destinations_topic()], self._replication)
        producer = AIOKafkaProducer(**self._broker.client_options(), acks="all")
        try:
            await producer.start()
            await publish(producer, self.name, published)
        finally:
            await producer.stop()


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[DestinationsTopic]:
    """The topic, on a broker that answers. Raises CommandFailed when none does."""
    async with connected_admin(settings) as admin:
        yield DestinationsTopic(settings, admin)

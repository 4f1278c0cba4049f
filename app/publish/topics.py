"""The topics of definitions: all kinds are read and changed here, by processes and by commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from agents.connections.published import Connections
from agents.deliver.definitions.published import Destinations
from agents.kafka.clients import new_admin
from agents.notices.addresses import NotifyAddresses
from agents.pushes.published import Pushes
from agents.registry.api_keys_topic import ApiKeys
from agents.registry.audiences import Audiences
from agents.registry.fencing import WriterForbidden
from agents.registry.registry import Registry
from agents.registry.writer import Change, DefinitionsWriter
from agents.topics.make import make_missing
from app.failures import CommandFailed, tell_unusable
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, parse_published, plan_of
from app.settings.tree import Settings

AnyRegistry = TypeVar("AnyRegistry", bound=Registry[Any, Any])
Result = TypeVar("Result")


class DefinitionTopics:
    """All that is published, as it was read last. A process has one; a topic that isn't there is empty.

    ``tells``: say on standard error which records of a registry that is asked for can't be used, as commands
    do (unless ``tell`` is false).
    """

    def __init__(self, settings: Settings, *, tells: bool = False) -> None:
        self.settings = settings
        self.plan = plan = plan_of(settings)
        self.broker = broker_of(settings)
        parse = partial(parse_published, max_samples=settings.state.max_samples)
        self.audiences = Audiences(plan.audiences, parse)
        self.destinations = Destinations(plan.destinations)
        self.connections = Connections(plan.connections)
        self.pushes = Pushes(plan.pushes)
        self.keys = ApiKeys(plan.keys)
        self.notify = NotifyAddresses(plan.notify)
        self._writer = DefinitionsWriter(
            self.broker, plan.audit, f"{plan.prefix}.publisher", fences=settings.kafka.idempotence
        )
        self._tells = tells
        self._there: set[str] = set()

    async def read(
        self, registry: AnyRegistry, *beside: Registry[Any, Any], tell: bool = True
    ) -> AnyRegistry:
        """All that is published now. It isn't to be kept: the next call changes it.

        Raises KafkaError, TimeoutError.
        """
        await self._writer.read(registry, *beside)
        if self._tells and tell:
            tell_unusable(registry.unusable.values())
        return registry

    async def change(
        self,
        registry: AnyRegistry,
        decide: Callable[[AnyRegistry], Change[Result]],
        beside: Sequence[Registry[Any, Any]] = (),
        *,
        dry_run: bool = False,
        tell: bool = True,
    ) -> Result:
        """Make the change that ``decide`` makes of all that is published; see ``DefinitionsWriter.change``.

        The topics are made when they are missing. ``dry_run``: nothing is written.

        Raises what ``decide`` raises, CommandFailed where the account may not write, KafkaError and
        TimeoutError.
        """
        if dry_run or (self._tells and tell):
            await self.read(registry, *beside, tell=tell)
        if dry_run:
            return decide(registry).result
        await self._make(registry.topic)
        try:
            return await self._writer.change(registry, decide, beside)
        except WriterForbidden as error:
            raise CommandFailed(str(error)) from None

    async def _make(self, topic: str) -> None:
        if topic in self._there:
            return
        plan, admin = self.plan, new_admin(self.broker)
        own = [plan.audiences_topic(), plan.destinations_topic(), plan.connections_topic()]
        own += [*plan.push_topics(), plan.keys_topic(), plan.notify_topic()]
        wanted = [*(each for each in own if each.name == topic), plan.audit_topic()]
        try:
            await admin.start()
            await make_missing(admin, wanted, self.settings.topics.replication)
        finally:
            await admin.close()
        self._there.add(topic)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[DefinitionTopics]:
    """For a command. Raises CommandFailed when no broker answers, and in place of Kafka's errors."""
    async with connected_admin(settings):
        yield DefinitionTopics(settings, tells=True)

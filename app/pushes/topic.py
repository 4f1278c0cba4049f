"""The ledger of runs, for one command: what became of runs, and asking for some."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka.clients import committed_consumer, new_producer
from agents.pushes.runs import Action, Ledger, Request, Run, record_of
from agents.registry.topic import publish, read_all
from agents.topics import existing, make_missing
from app.failures import CommandFailed, tell_unusable
from app.kafka.configured import broker_of, plan_of
from app.publish.named.changes import now_ms
from app.settings.tree import Settings

READ_SECONDS: Final = 60.0


def request_of(
    action: Action,
    project: str,
    push: str,
    run: str = "",
    by: str = "",
    *,
    version: int = 0,
    list: str = "",
) -> Request:
    """A new one, made now."""
    return Request(secrets.token_hex(8), action, project, push, now_ms(), run, by, version, list)


class RunsTopic:
    """The ledger, on a broker that answers. Whoever leads writes it, but for what is asked for."""

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin
        self._broker = broker_of(settings)
        _, self._wanted = plan_of(settings).push_topics()
        self._replication = settings.topics.replication

    async def read(self) -> Ledger:
        """Nothing when there is no such topic yet. Records that can't be used are told on standard error.

        Raises KafkaError, TimeoutError.
        """
        ledger = Ledger(self._wanted.name)
        if self._wanted.name in await existing(self._admin):
            async with asyncio.timeout(READ_SECONDS), committed_consumer(self._broker) as consumer:
                await read_all(consumer, ledger)
        tell_unusable(ledger.unusable.values())
        return ledger

    async def find(self, run: str) -> Run:
        """Raises CommandFailed."""
        found = (await self.read()).find(run)
        if found is None:
            raise CommandFailed(f"there is no run '{run}': `turnstile push history` lists them")
        return found

    async def ask(self, request: Request) -> None:
        """Have the process that leads do something; returns when the request is certain."""
        await make_missing(self._admin, [self._wanted], self._replication)
        async with new_producer(self._broker, idempotence=False) as producer:
            await publish(producer, self._wanted.name, [record_of(request)])

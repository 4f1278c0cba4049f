"""The workers that a reader asks for what it doesn't hold itself."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.faust.owners import owners_of

log = structlog.get_logger("turnstile.serve")

LOOK_SECONDS: Final = 2.0


class Owners:
    """Follows who owns which partition. ``run`` it; while Kafka can't tell, what it said last holds."""

    def __init__(self, admin: AIOKafkaAdminClient, group: str, changelog: str) -> None:
        self._admin = admin
        self._group = group
        self._changelog = changelog
        self._urls: dict[int, str] = {}

    def url_of(self, partition: int) -> str | None:
        """Where the owner of a partition is; None: nobody is known to own it."""
        return self._urls.get(partition)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                found = await owners_of(self._admin, self._group, self._changelog)
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("owners_not_seen", error=repr(error))
            else:
                # In the middle of a rebalance nobody is told anything: those from before it may still answer.
                self._urls |= found
            await asyncio.sleep(LOOK_SECONDS)

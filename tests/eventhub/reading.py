"""What lies in an event hub, read with the SDK's consumer: from Azure and from the stand-in alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient

if TYPE_CHECKING:
    from tests.eventhub.peer import Peer

GROUP = "$Default"
QUIET_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Read:
    """An event as a consumer sees it; `partition` is the hub's."""

    partition: str
    id: str | None
    body: bytes
    content_type: str | None
    properties: Mapping[str, str]
    partition_key: str | None


class ReadableHub:
    """`starts` is where each partition is read from; None: from its beginning."""

    def __init__(self, connection_string: str, starts: Mapping[str, int] | None = None) -> None:
        self.connection_string = connection_string
        self._starts = starts

    async def read(self, at_least: int, within_s: float = 30.0) -> list[Read]:
        """Events per partition in order: at least so many, and what else comes in a quiet moment after."""
        found: list[Read] = []
        news = asyncio.Event()

        async def take(context: Any, event: EventData | None) -> None:
            if event is not None:
                found.append(_read(context.partition_id, event))
                news.set()

        client = EventHubConsumerClient.from_connection_string(self.connection_string, consumer_group=GROUP)
        start: Any = "-1" if self._starts is None else dict(self._starts)
        task = asyncio.create_task(client.receive(take, starting_position=start))
        try:
            async with asyncio.timeout(within_s):
                while len(found) < at_least:
                    news.clear()
                    await news.wait()
            await asyncio.sleep(QUIET_SECONDS)
        finally:
            await client.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return found


class LocalHub(ReadableHub):
    """The stand-in, empty at first. What it stored is read directly, which is quicker."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer.connection_string)
        self._peer = peer

    async def read(self, at_least: int, within_s: float = 30.0) -> list[Read]:
        async with asyncio.timeout(within_s):
            while self._peer.hub.total() < at_least:
                await asyncio.sleep(0.05)
        return [
            Read(
                str(number),
                event.id,
                event.body,
                event.content_type,
                {name: str(value) for name, value in event.properties.items()},
                event.partition_key,
            )
            for number, events in enumerate(self._peer.hub.events())
            for event in events
        ]


class AzureHub(ReadableHub):
    """A hub that others may have written to before."""

    @classmethod
    async def at_its_end(cls, connection_string: str) -> AzureHub:
        client = EventHubConsumerClient.from_connection_string(connection_string, consumer_group=GROUP)
        async with client:
            starts = {
                each: (await client.get_partition_properties(each))["last_enqueued_sequence_number"]
                for each in await client.get_partition_ids()
            }
        return cls(connection_string, starts)


def _read(partition: str, event: EventData) -> Read:
    return Read(
        partition,
        None if event.message_id is None else str(event.message_id),
        b"".join(event.body),
        event.content_type,
        {_text(name): _text(value) for name, value in (event.properties or {}).items()},
        None if event.partition_key is None else _text(event.partition_key),
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

"""Azure Event Hubs over AMQP, with the async SDK.

A lane is a partition of the hub, with one publication outstanding. A user is always in the same lane, so
in the same hub partition, in order. With ``partitioning: key`` the service chooses the partition by its
hash of the user id instead; a publication then holds one user's events only.

The SDK sends a failed publication a second time by itself, and says OK although the first one was stored:
repeats can't be excluded, so each message has the delivery's id (``message_id``), always the same. Its own
timeout doesn't cover the opening of links, so there is a deadline around it, too; past either, what became
of the publication is unknown, and it is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from azure.eventhub.aio import EventHubProducerClient
from azure.identity.aio import DefaultAzureCredential

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import DELIVERED, Outcome, Rejected, Retry, Unknown
from agents.deliver.contract.sink import Lanes, SinkContext
from agents.deliver.definitions.destination import Destination, EventHub
from agents.deliver.errors import SinkUnavailable
from agents.sinks.eventhub.client import Clients, address_of
from agents.sinks.eventhub.errors import (
    SDK_ERRORS,
    opening_error,
    refusal_of,
)
from agents.sinks.eventhub.publisher import PublicationFailed, Publisher

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


class EventHubSink:
    """One hub. ``credential`` is asked for where the definition names a namespace."""

    def __init__(
        self,
        destination: Destination,
        context: SinkContext,
        credential: Callable[[], AsyncTokenCredential] = DefaultAzureCredential,
    ) -> None:
        assert isinstance(destination.target, EventHub)
        self._target = destination.target
        self._context = context
        self._make_credential = credential
        self._credential: AsyncTokenCredential | None = None
        self._deadline_s = self._target.timeout_ms / 1000
        self._by_key = self._target.partitioning == "key"
        self._clients: list[Clients] = []
        self._publisher: Publisher
        """Made when the hub is open."""

    async def open(self) -> Lanes:
        await self.close()
        clients = Clients(self._make_client)
        self._clients = [clients]
        try:
            async with asyncio.timeout(self._deadline_s):
                partitions, largest = await clients.call(_asked)
        except TimeoutError:
            raise SinkUnavailable(f"the event hub didn't answer within {self._deadline_s:g} s") from None
        except SDK_ERRORS as error:
            raise opening_error(error, self._context.secrets) from None
        largest = min(largest, self._target.max_batch_bytes or largest)
        self._publisher = Publisher(
            partitions, largest, self._by_key, self._deadline_s, self._context.secrets
        )
        if self._by_key:
            # The SDK has one publication outstanding per client where the service chooses the partition.
            self._clients += [Clients(self._make_client) for _ in partitions[1:]]
        return Lanes(len(partitions), self._target.batch)

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes: dict[int, Outcome] = {}
        for delivery in batch:
            refusal = refusal_of(delivery, self._by_key)
            if refusal is not None:
                self._trace([delivery], refusal.code, refusal.reason)
                outcomes[id(delivery)] = refusal
        failed: Retry | Unknown | None = None
        for part in self._parts([each for each in batch if id(each) not in outcomes]):
            if failed is None:
                failed = await self._send_part(lane, part, outcomes)
            if failed is not None:
                behind = _behind(failed)
                for delivery in part:
                    outcomes.setdefault(id(delivery), behind)
        return [outcomes[id(delivery)] for delivery in batch]

    async def close(self) -> None:
        clients, self._clients = self._clients, []
        await asyncio.gather(*(each.close() for each in clients))
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    def _make_client(self) -> EventHubProducerClient:
        address = address_of(self._target, self._context.secrets, self._context.eventhub_hosts)
        if address.namespace is not None and self._credential is None:
            self._credential = self._make_credential()
        return address.client(self._credential)

    def _parts(self, batch: Sequence[Delivery]) -> list[list[Delivery]]:
        """What may go together: all, or with partition keys one user's."""
        if not self._by_key:
            return [list(batch)]
        users: dict[str, list[Delivery]] = {}
        for delivery in batch:
            users.setdefault(delivery.user_id, []).append(delivery)
        return list(users.values())

    async def _send_part(
        self, lane: int, part: Sequence[Delivery], outcomes: dict[int, Outcome]
    ) -> Retry | Unknown | None:
        """Send in as many publications as it takes, until one fails; gives what it failed with.

        Fills ``outcomes`` for what was sent or refused, and no others.
        """
        waiting = list(part)
        most = len(waiting)
        clients = self._clients[lane if self._by_key else 0]
        while waiting:
            try:
                published = await self._publisher.publish(clients, lane, waiting, most, outcomes)
            except PublicationFailed as failure:
                self._trace(failure.publication, failure.outcome.code, failure.outcome.reason)
                if not failure.too_large:
                    outcomes.update((id(each), failure.outcome) for each in failure.publication)
                    return failure.outcome
                if len(failure.publication) > 1:
                    most = len(failure.publication) // 2
                    continue
                outcomes[id(failure.publication[0])] = Rejected("too_large", failure.outcome.reason)
            else:
                self._trace(published, "delivered", "")
                outcomes.update((id(each), DELIVERED) for each in published)
            waiting = [each for each in waiting if id(each) not in outcomes]
        return None

    def _trace(self, publication: Sequence[Delivery], code: str, reason: str) -> None:
        if self._context.trace is not None:
            for delivery in publication:
                sent = {
                    "message_id": delivery.id,
                    "partition_key": delivery.user_id if self._by_key else None,
                }
                answer = {"outcome": code, "reason": reason}
                self._context.trace({**sent, "body": delivery.body.decode("utf-8", "replace"), **answer})


async def _asked(client: EventHubProducerClient) -> tuple[list[str], int]:
    """The hub's partitions, and the most bytes of a batch."""
    return await client.get_partition_ids(), (await client.create_batch()).max_size_in_bytes


def _behind(failed: Retry | Unknown) -> Retry:
    """For what wasn't sent after something else failed."""
    return Retry(
        failed.code,
        f"not sent, after {failed.reason}",
        failed.retry_after_s,
        failed.whole,
        isinstance(failed, Retry) and failed.needs_change,
    )

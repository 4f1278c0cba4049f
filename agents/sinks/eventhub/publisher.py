"""Publications: what goes to one partition of a hub at once, within a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome, Rejected, Retry, Unknown
from agents.deliver.errors import SinkUnavailable
from agents.deliver.secrets.secrets import Secrets
from agents.sinks.eventhub.client import Clients
from agents.sinks.eventhub.errors import (
    SDK_ERRORS,
    is_lost_connection,
    is_too_large,
    needs_change,
    outcome_of,
)
from agents.sinks.eventhub.events import add

SDK_SHARE = 0.4
"""Of the deadline, for one attempt of the SDK's two."""
IDLE_SECONDS = 60.0
"""The service closes idle links; the first send after so long may find its link closed."""


class PublicationFailed(Exception):
    """A publication didn't go, or perhaps didn't. Empty: it came to none."""

    def __init__(
        self, publication: Sequence[Delivery], outcome: Retry | Unknown, too_large: bool = False
    ) -> None:
        super().__init__(outcome.reason)
        self.publication = publication
        self.outcome = outcome
        self.too_large = too_large


class Publisher:
    """Publishes to one open hub. ``partitions`` are its partitions, by lane.

    ``by_key``: the service chooses the partition by its hash of the user id. ``largest_bytes``: of a
    publication.
    """

    def __init__(
        self,
        partitions: Sequence[str],
        largest_bytes: int,
        by_key: bool,
        deadline_s: float,
        secrets: Secrets,
    ) -> None:
        self._partitions = partitions
        self._largest_bytes = largest_bytes
        self._by_key = by_key
        self._deadline_s = deadline_s
        self._secrets = secrets
        self._last_success_s: dict[int, float] = {}
        """By lane."""
        self._refused_since_s: float | None = None

    async def publish(
        self,
        clients: Clients,
        lane: int,
        waiting: Sequence[Delivery],
        most: int,
        outcomes: dict[int, Outcome],
    ) -> list[Delivery]:
        """Send as many as fit, up to ``most``, and give them. What never fits goes into ``outcomes``.

        Raises PublicationFailed.
        """
        publication: list[Delivery] = []

        async def publish(client: EventHubProducerClient) -> None:
            events = await self._new_events(client, lane, waiting[0].user_id)
            for delivery in waiting:
                if len(publication) == most:
                    break
                if add(events, delivery, self._by_key):
                    publication.append(delivery)
                elif publication:
                    break
                else:
                    outcomes[id(delivery)] = self._refused(delivery)
            if publication:
                await self._send(client, lane, events)

        try:
            async with asyncio.timeout(self._deadline_s):
                await clients.call(publish)
        except TimeoutError:
            unknown = Unknown("timeout", f"no answer within {self._deadline_s:g} s", whole=True)
            raise PublicationFailed(publication, unknown) from None
        except SDK_ERRORS as error:
            refused_s = 0.0
            if needs_change(error):
                clients.renew()
                self._refused_since_s = self._refused_since_s or time.monotonic()
                refused_s = time.monotonic() - self._refused_since_s
            outcome = outcome_of(error, self._secrets, refused_s)
            raise PublicationFailed(publication, outcome, is_too_large(error)) from None
        self._last_success_s[lane] = time.monotonic()
        self._refused_since_s = None
        return publication

    async def _new_events(self, client: EventHubProducerClient, lane: int, user_id: str) -> EventDataBatch:
        key, partition = (user_id, None) if self._by_key else (None, self._partitions[lane])
        most = self._largest_bytes
        try:
            return await client.create_batch(
                partition_key=key, partition_id=partition, max_size_in_bytes=most
            )
        except ValueError as error:  # the hub takes less than it said when it was opened
            self._largest_bytes = (await client.create_batch()).max_size_in_bytes
            raise SinkUnavailable(str(error)) from None

    async def _send(self, client: EventHubProducerClient, lane: int, events: EventDataBatch) -> None:
        timeout_s = self._deadline_s * SDK_SHARE
        try:
            await client.send_batch(events, timeout=timeout_s)
        except SDK_ERRORS as error:
            idle_s = time.monotonic() - self._last_success_s.get(lane, 0.0)
            if idle_s < IDLE_SECONDS or not is_lost_connection(error):
                raise
            # Closed for idleness, most likely: no failure of the hub's, so no reason to wait.
            await client.send_batch(events, timeout=timeout_s)

    def _refused(self, delivery: Delivery) -> Rejected:
        body, most = len(delivery.body), self._largest_bytes
        return Rejected("too_large", f"a body of {body} bytes doesn't fit into a message of {most} bytes")

"""What the owner of partitions of claims writes there (``tables.mending``), before it takes what it read.

It is in Kafka before the position behind it is kept. So after a kill the records come again, and so does what
they call for. Two workers that both believe that they own a partition write the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer

from agents.registry.erasures import Erasures
from agents.registry.feed import Feed
from tables.claims import Record, erased_headers
from tables.identities import IdentityStore
from tables.mending import claim_keys, forgetting, to_mend

PAGE: Final = 1_000
"""Claims that are looked at at once, in some milliseconds."""


class Owner(Protocol):
    """What a follower does for the partitions that it owns."""

    async def ready(self) -> None:
        """Until it can be asked for the rest."""

    async def before_taking(
        self, partition: int, store: IdentityStore, records: Sequence[Record]
    ) -> None: ...

    async def write(self, partition: int, records: Sequence[Record]) -> None:
        """Write claims, and wait."""

    async def look(self, partition: int, store: IdentityStore, sweep: Sweep | None) -> Sweep | None:
        """Look at some more claims of a store that is read to its end; None: all are as they must be."""


class Sweep:
    """A look at all claims of a store, because users were erased."""

    def __init__(self, erased_next: int) -> None:
        self.erased_next = erased_next
        """Offset after the erasures that were known when it began."""
        self.after = b""


class OwnerOfClaims:
    """Of one worker."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, erasures: Feed[Erasures]) -> None:
        self._producer = producer
        self._topic = topic
        self._erasures = erasures

    async def ready(self) -> None:
        await self._erasures.loaded.wait()

    async def before_taking(self, partition: int, store: IdentityStore, records: Sequence[Record]) -> None:
        """Raises KafkaError."""
        keys = claim_keys(records)
        known = dict(zip(keys, store.standing(keys), strict=True))
        await self.write(partition, to_mend(records, known, self._erasures.registry.erased_ms))

    async def look(self, partition: int, store: IdentityStore, sweep: Sweep | None) -> Sweep | None:
        """Raises KafkaError."""
        registry = self._erasures.registry
        if sweep is None:
            if store.erased_next == registry.next_offset:
                return None
            sweep = Sweep(registry.next_offset)
        claims = store.claims(sweep.after, PAGE)
        found = (forgetting(key, claim, registry.erased_ms) for key, claim in claims)
        await self.write(partition, [each for each in found if each is not None])
        if len(claims) < PAGE:
            store.note_erased(sweep.erased_next)
            return None
        sweep.after = claims[-1][0]
        return sweep

    async def write(self, partition: int, records: Sequence[Record]) -> None:
        """Raises KafkaError."""
        sent = [
            await self._producer.send(
                self._topic,
                each.value,
                each.key,
                partition=partition,
                headers=erased_headers(each.erased_ms) if each.value is None else None,
            )
            for each in records
        ]
        for each in sent:
            await each

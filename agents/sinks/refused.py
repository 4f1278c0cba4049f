"""Destinations that were published when more was allowed: they don't run, and say why."""

from __future__ import annotations

from collections.abc import Sequence

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome
from agents.deliver.contract.sink import Lanes, SinkContext
from agents.deliver.definitions.destination import Destination
from agents.deliver.errors import SinkMisconfigured


class RefusedSink:
    """Never opens."""

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        self._destination = destination

    async def open(self) -> Lanes:
        raise SinkMisconfigured(self._destination.refused)

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        raise AssertionError("nothing is sent through a sink that isn't open")

    async def close(self) -> None:
        return

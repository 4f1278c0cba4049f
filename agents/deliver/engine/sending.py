"""One lane at work: takes what is ready, makes deliveries of it, and sends them as one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agents.deliver.content.maker import Maker
from agents.deliver.content.messages import Message
from agents.deliver.contract.outcomes import Outcome
from agents.deliver.contract.sink import Sink
from agents.deliver.engine.admission import Admission
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.outcomes import OutcomeHandler
from agents.deliver.engine.report import DestinationReport
from agents.deliver.engine.retry import Pace


class Sender:
    """Sends for all lanes of one destination."""

    def __init__(
        self,
        sink: Sink,
        maker: Maker,
        pace: Pace,
        admission: Admission,
        outcomes: OutcomeHandler,
        report: DestinationReport,
    ) -> None:
        self._sink = sink
        self._maker = maker
        self._pace = pace
        self._admission = admission
        self._outcomes = outcomes
        self._report = report

    async def run(self, lane: Lane, most: int) -> None:
        """Send what comes into the lane, up to ``most`` messages at once, until cancelled."""
        while True:
            now_s = time.monotonic()
            messages = lane.take(now_s, most)
            if not messages:
                await lane.wait(now_s)
                continue
            with lane.sending():
                await self._send_batch(lane, messages, now_s)

    async def _send_batch(self, lane: Lane, messages: list[Message], now_s: float) -> None:
        epoch = self._admission.epoch
        await self._pace.take(sum(len(message.transitions) for message in messages))
        if self._admission.epoch != epoch:
            return
        for message in messages:
            if message.first_s == 0.0:
                message.first_s = now_s
        outcomes = await self._sent(lane, messages)
        if len(outcomes) != len(messages):
            raise AssertionError(f"{len(outcomes)} outcomes of {len(messages)} deliveries")
        await self._outcomes.handle(lane, messages, outcomes, epoch)

    async def _sent(self, lane: Lane, messages: list[Message]) -> Sequence[Outcome]:
        """One send through the sink; messages that can't be made into a delivery are left out of it."""
        early = await self._maker.make(messages)
        sendable = [message for message in messages if id(message) not in early] if early else messages
        if not sendable:
            return [early[id(message)] for message in messages]
        self._report.requests += 1
        batch = [message.delivery for message in sendable]
        sent = await self._sink.send(lane.number, batch)  # type: ignore[arg-type]
        if not early:
            return sent
        early |= {id(message): outcome for message, outcome in zip(sendable, sent, strict=True)}
        return [early[id(message)] for message in messages]

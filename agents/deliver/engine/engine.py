"""One destination's engine: takes messages, sends them in lanes, tries again, buries what is refused.

Knows nothing of Faust: the deliverer feeds it from the transitions topic, ``replay`` from dead letters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random

from agents.deliver.content.maker import Maker
from agents.deliver.content.messages import Message
from agents.deliver.content.users import Users
from agents.deliver.contract.sink import Sink, lane_of
from agents.deliver.definitions.destination import Destination
from agents.deliver.engine.admission import Admission
from agents.deliver.engine.complaints import Complaints
from agents.deliver.engine.lane_tasks import LaneTasks
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.opening import opened
from agents.deliver.engine.outcomes import Bury, OutcomeHandler
from agents.deliver.engine.pauses import Pauses
from agents.deliver.engine.report import DestinationReport
from agents.deliver.engine.retry import Pace
from agents.deliver.engine.sending import Sender
from agents.deliver.secrets.secrets import Secrets


class Engine:
    """``failed`` is called with the exception of a bug. ``span``: messages since the first that isn't done,
    over all partitions.
    """

    def __init__(
        self,
        destination: Destination,
        sink: Sink,
        secrets: Secrets,
        users: Users | None,
        bury: Bury,
        failed: Callable[[BaseException], None],
        in_flight: int,
        report: DestinationReport | None = None,
        random: Random | None = None,
        span: Callable[[], int] = lambda: 0,
    ) -> None:
        self.report = report or DestinationReport()
        self._destination = destination
        self._sink = sink
        self._failed = failed
        self._random = random or Random()
        self._lanes: list[Lane] = []
        """None before the sink is open."""
        self._complaints = Complaints(destination.name, secrets, self.report)
        self._admission = Admission(in_flight, span, self.report)
        pauses = Pauses(destination.retry, self._lanes, self._random, time.monotonic())
        outcomes = OutcomeHandler(
            destination.retry, bury, secrets, self._admission, pauses, self._complaints, self.report
        )
        pace = Pace(destination.rate, time.monotonic)
        self._sender = Sender(sink, Maker(destination, users), pace, self._admission, outcomes, self.report)
        self._tasks: LaneTasks | None = None
        self._opened = asyncio.Event()

    async def open(self) -> None:
        """Open the sink, however often it takes, and start the lanes."""
        self.report.state = "connecting"
        sizes = await opened(self._sink, self._destination.retry, self._complaints, self._random)
        self._admission.fit(sizes)
        self._lanes += [Lane(number) for number in range(sizes.count)]
        name = self._destination.name
        self._tasks = LaneTasks(
            name, self._lanes, lambda lane: self._sender.run(lane, sizes.batch), self._crashed
        )
        self.report.state = "running"
        self._opened.set()

    async def close(self) -> None:
        await self.let_go()
        if self._tasks is not None:
            await self._tasks.end()
        await self._sink.close()

    async def let_go(self) -> None:
        """Finish the sends under way, within a moment, and forget all other messages: they come again."""
        self._admission.end_epoch()
        if self._tasks is not None:
            await self._tasks.rest()
        self._admission.forget()

    async def put(self, messages: Sequence[Message]) -> bool:
        """Add messages to their lanes, in order; waits while too many are in hand. False: let go by then."""
        epoch = self._admission.epoch
        await self._opened.wait()
        count = len(self._lanes)
        for message in messages:
            if not await self._admission.enter(epoch):
                return False
            self._lanes[lane_of(message.user_id, count)].add(message)
        return True

    async def drained(self) -> bool:
        """Wait until nothing is in hand. False: let go meanwhile."""
        return await self._admission.drained()

    def _crashed(self, error: BaseException) -> None:
        self._complaints.crashed(error)
        self._failed(error)

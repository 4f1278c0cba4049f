"""Lanes at work: takes messages, sends them through a sink, tries again, buries what is refused, keeps count.

Knows nothing of Faust: the deliverer feeds it from the transitions topic, ``replay`` from dead letters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from agents.deliver.content.maker import Maker
from agents.deliver.content.messages import Message
from agents.deliver.content.users import Users
from agents.deliver.contract.outcomes import Delivered, Outcome, Rejected, Retry, Unknown
from agents.deliver.contract.sink import Lanes, Sink, lane_of
from agents.deliver.definitions.destination import Destination
from agents.deliver.engine.complaints import Complaints
from agents.deliver.engine.lanes import Lane
from agents.deliver.engine.opening import opened
from agents.deliver.engine.pauses import Pauses
from agents.deliver.engine.report import DestinationReport
from agents.deliver.engine.retry import Pace
from agents.deliver.secrets.secrets import Secrets

SPAN_FACTOR = 10
"""So many times ``in_flight`` messages may be done behind one that isn't, before reading stops."""
LEAST_IN_FLIGHT = 1_000
BATCHES_IN_FLIGHT = 4
"""So many full batches per lane may be in hand."""
IN_THE_WAY_ATTEMPTS = 5
GRACE_SECONDS = 5.0
"""How long sends under way may take when partitions move or the process ends."""

Bury = Callable[[Message, str, str], Awaitable[None]]
"""Write a message to the dead letters with (code, reason); returns once that is certain."""


class Engine:
    """One destination's lanes. ``failed`` is called with the exception of a bug; its lane then stands."""

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
    ) -> None:
        self.report = report or DestinationReport()
        self._destination = destination
        self._sink = sink
        self._secrets = secrets
        self._complaints = Complaints(destination.name, secrets, self.report)
        self._maker = Maker(destination, users)
        self._bury = bury
        self._failed = failed
        self._limit = in_flight
        self._in_flight = in_flight
        self._random = random or Random()
        self._pauses = Pauses(destination.retry, self._random, time.monotonic())
        self._pace = Pace(destination.rate, time.monotonic)
        self._sizes = Lanes(0, 1)
        self._lanes: list[Lane] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._epoch = 0
        self._in_hand = 0
        self.span: Callable[[], int] = lambda: 0
        """Jobs since the first that isn't done, over all partitions."""

    # -- life ----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the sink, however often it takes, and start the lanes."""
        self.report.state = "connecting"
        self._sizes = await opened(self._sink, self._destination.retry, self._complaints, self._random)
        # What is delivered behind one that isn't is sent again after a restart: no more than is useful.
        wanted = max(LEAST_IN_FLIGHT, BATCHES_IN_FLIGHT * self._sizes.count * self._sizes.batch)
        self._in_flight = min(self._limit, wanted)
        self._lanes = [Lane(number) for number in range(self._sizes.count)]
        self._start_lanes()
        self.report.state = "running"
        self._opened.set()

    async def close(self) -> None:
        await self.let_go()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sink.close()

    async def let_go(self) -> None:
        """Finish the sends under way, within a moment, and forget all other messages: they come again."""
        self._epoch += 1
        self._room.set()
        for lane in self._lanes:
            lane.clear()
        deadline = time.monotonic() + GRACE_SECONDS
        while any(lane.sending for lane in self._lanes) and time.monotonic() < deadline:
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
                    await self._changed.wait()
            except TimeoutError:
                break
        for at, lane in enumerate(self._lanes):
            if lane.sending:
                self._tasks[at].cancel()
                await asyncio.wait([self._tasks[at]])
                lane.sending = False
            lane.clear()
        self._in_hand = self.report.in_hand = 0
        self._changed.set()
        self._start_lanes()

    def _start_lanes(self) -> None:
        for at, lane in enumerate(self._lanes):
            if at == len(self._tasks):
                self._tasks.append(self._lane_task(lane))
            elif self._tasks[at].cancelled():
                self._tasks[at] = self._lane_task(lane)

    def _lane_task(self, lane: Lane) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(lane), name=f"{self._destination.name}-{lane.number}")
        task.add_done_callback(self._lane_ended)
        return task

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._complaints.crashed(error)
            self._failed(error)

    # -- in ------------------------------------------------------------------------------------------

    async def put(self, messages: Sequence[Message]) -> bool:
        """Add messages to their lanes, in order; waits while too many are in hand. False: let go by then."""
        epoch = self._epoch
        await self._opened.wait()
        count = len(self._lanes)
        for message in messages:
            while self._is_full():
                self._room.clear()
                await self._room.wait()
                if self._epoch != epoch:
                    return False
            if self._epoch != epoch:
                return False
            self._in_hand += 1
            self._lanes[lane_of(message.user_id, count)].add(message)
        self.report.in_hand = self._in_hand
        return True

    def _is_full(self) -> bool:
        return self._in_hand >= self._in_flight or (
            self._in_hand > 0 and self.span() >= self._in_flight * SPAN_FACTOR
        )

    async def drained(self) -> bool:
        """Wait until nothing is in hand. False: let go meanwhile."""
        epoch = self._epoch
        while self._in_hand and self._epoch == epoch:
            self._changed.clear()
            await self._changed.wait()
        return self._epoch == epoch

    # -- lanes ---------------------------------------------------------------------------------------

    async def _run(self, lane: Lane) -> None:
        while True:
            now = time.monotonic()
            messages = lane.take(now, self._sizes.batch)
            if not messages:
                await lane.wait(now)
                continue
            lane.sending = True
            epoch = self._epoch
            await self._pace.take(sum(len(message.transitions) for message in messages))
            if self._epoch != epoch:
                lane.sending = False
                self._changed.set()
                continue
            for message in messages:
                if message.first_s == 0.0:
                    message.first_s = now
            outcomes = await self._send(lane, messages)
            if len(outcomes) != len(messages):
                raise AssertionError(f"{len(outcomes)} outcomes of {len(messages)} deliveries")
            await self._settle(lane, messages, outcomes, epoch)
            lane.sending = False
            self._changed.set()

    async def _send(self, lane: Lane, messages: list[Message]) -> Sequence[Outcome]:
        """One send through the sink; messages that can't be made into a delivery are left out of it."""
        early = await self._maker.make(messages)
        sendable = [message for message in messages if id(message) not in early] if early else messages
        if not sendable:
            return [early[id(message)] for message in messages]
        self.report.requests += 1
        sent = await self._sink.send(lane.number, [message.delivery for message in sendable])  # type: ignore[misc]
        if not early:
            return sent
        early |= {id(message): outcome for message, outcome in zip(sendable, sent, strict=True)}
        return [early[id(message)] for message in messages]

    # -- out -----------------------------------------------------------------------------------------

    async def _settle(
        self, lane: Lane, messages: Sequence[Message], outcomes: Sequence[Outcome], epoch: int
    ) -> None:
        report, now = self.report, time.monotonic()
        waiting: dict[str, list[Message]] = {}
        least_s: float | None = None
        whole = taken = needs_change = False
        for message, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, Delivered):
                taken = True
                report.delivered += len(message.transitions)
                self._done(message, epoch)
            elif isinstance(outcome, Rejected):
                taken = True
                await self._dead(message, outcome.code, outcome.reason, epoch)
            elif message.user_id in waiting:
                waiting[message.user_id].append(message)  # not sent, for its user's order
            else:
                message.attempts += 1
                report.retries += len(message.transitions)
                report.unknown += len(message.transitions) if isinstance(outcome, Unknown) else 0
                self._complaints.failed(message, outcome)
                given_up = self._given_up(message, outcome, now)
                if given_up is not None:
                    await self._dead(message, given_up, outcome.reason, epoch)
                    continue
                waiting[message.user_id] = [message]
                whole = whole or outcome.whole
                needs_change = needs_change or (isinstance(outcome, Retry) and outcome.needs_change)
                if outcome.retry_after_s is not None:
                    least_s = max(least_s or 0.0, outcome.retry_after_s)
        if self._epoch != epoch:
            return
        if taken:
            self._succeeded(lane, now)
        elif waiting:
            lane.failures += 1
        self._pauses.park(lane, waiting.values(), least_s, now)
        if waiting and (whole or lane.failures > 1):
            report.state = "misconfigured" if needs_change else "retrying"
            self._pauses.pause(lane, self._lanes, whole, least_s, now)

    def _given_up(self, message: Message, outcome: Retry | Unknown, now_s: float) -> str | None:
        """Why a message isn't tried again; None: it is."""
        if now_s - message.first_s >= self._destination.retry.for_ms / 1000:
            return "gave_up"
        if (
            not outcome.whole
            and message.attempts >= IN_THE_WAY_ATTEMPTS
            and self._is_full()
            and self._pauses.last_success_s > message.first_s
        ):
            # The others pass and this one alone doesn't, and now it holds up all that comes behind.
            return "in_the_way"
        return None

    def _succeeded(self, lane: Lane, now_s: float) -> None:
        lane.failures = 0
        self.report.success()
        self.report.state = "running"
        self._pauses.succeeded(self._lanes, now_s)

    def _done(self, message: Message, epoch: int) -> None:
        message.done = True
        if self._epoch == epoch:
            self._in_hand -= 1
            self.report.in_hand = self._in_hand
            if not self._room.is_set():
                self._room.set()

    async def _dead(self, message: Message, code: str, reason: str, epoch: int) -> None:
        await self._bury(message, code, self._secrets.masked(reason))
        self.report.dead_letters += len(message.transitions)
        self._complaints.refused(code, reason)
        self._done(message, epoch)

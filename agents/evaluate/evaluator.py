"""The evaluation of a worker's partitions: batches in, steps out, time passing, definitions changing.

This is what the Faust agent calls. Everything that computes runs in the event loop between awaits, so a
partition's rows are never seen half changed; long work is cut into slices.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import structlog

from agents.evaluate.commits import Committer, Work
from agents.evaluate.jobs import either, side_by_side
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Record, Step
from agents.evaluate.task import LEAST_RECORDS, TURN_RECORDS, USERS, Task
from agents.kafka.membership import MembershipLost
from rules.compile.rule_set import EMPTY, RuleSet
from rules.compile.with_destinations import NO_EVENT_DESTINATIONS, EventDestinations

log = structlog.get_logger("turnstile.evaluate")

TICK_SECONDS = 0.05
"""How often the stream time of idle partitions follows the wall clock."""
PLENTY_RECORDS = 4_000
"""With so many records waiting, the next commit cycle is computed while one is committed."""
CYCLE_RECORDS = 12_000
"""A commit cycle has at most so many records, of all tasks together: a kill sends again what one cycle sends.
Computing them takes several times as long as the commit of the cycle before, which goes on meanwhile. With
6,000 an event costs 15 to 20 % more (decision 13)."""
CYCLE_RECORDS_ASIDE = 24_000
"""Likewise where threads compute: they take a fifth of the time, and each cycle has requests of its own."""
CALM_BEHIND_ROWS = 500
"""So many rows a store may be behind while little is waiting: some 2 ms to write. With plenty waiting it
may be behind much further (``Profiles``), for less work and longer pauses."""
MOST_BEHIND_MS = 10_000
DRAIN_SECONDS = 0.002
GRAFTED_USERS = 100
"""Users per commit cycle of all sweeps that graft: two rows are read for each."""
LEAST_GRAFTED_USERS = 10
"""Of one partition."""


class TaskMissing(Exception):
    """Records came to a worker that doesn't hold the rows of their users: a bug. They stay uncommitted."""


class Upkeep(Protocol):
    """Who brings partitions to other versions of definitions (``agents.backfill.upkeep.upkeep``)."""

    def turn(self, pipeline: Pipeline) -> list[Step]:
        """Between two steps of a partition: the steps that change its versions, mostly none."""
        ...


class Clock(Protocol):
    """What the evaluator knows of the world's time and of the ends of the logs."""

    def wall_ms(self) -> int: ...

    def caught_up_ms(self, partition: int) -> int | None:
        """Instant up to which every source log of this partition of the table is known to hold no more.
        None: backlog."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a lookup can be answered here, and at which instant.

    All timers that are due by ``at_ms`` are decided, and all records up to ``records_ms`` are in. A later one
    may be on its way.
    """

    pipeline: Pipeline
    at_ms: int
    behind_ms: int | None = None
    """How far that is behind the wall clock, where a reader answers; None: the owner does."""
    records_ms: int | None = None
    """None: it is ``at_ms``."""

    @property
    def is_reader(self) -> bool:
        return self.behind_ms is not None


class Evaluator:
    """All tasks of one worker. ``crash`` ends the worker without committing (a bug never skips data).
    ``latest_ms`` tells the latest timestamp that a record may have now; None: any.

    Work goes in commit cycles: what waits in any task is computed, then committed together. The next cycle is
    computed meanwhile only when much is waiting; otherwise it would be a small one that has to wait.
    """

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        grace_ms: int,
        crash: Callable[[BaseException], None],
        latest_ms: Callable[[], int | None] = lambda: None,
        upkeep: Upkeep | None = None,
        threads: Executor | None = None,
    ) -> None:
        """Without ``upkeep`` all partitions have the rules that ``define`` gets, at once. With ``threads``
        tasks have their turns side by side."""
        self._threads = threads
        self._upkeep = upkeep
        self._committer = committer
        self._clock = clock
        self._grace_ms = grace_ms
        self._crash = crash
        self._latest_ms = latest_ms
        self._event_destinations = NO_EVENT_DESTINATIONS
        self.tasks: dict[int, Task] = {}
        self.rules: RuleSet = EMPTY
        self.paused = True
        """Partitions are being moved or restored: no time passes."""
        self.is_over = False
        """It failed: rows may be half changed, and nothing is looked up any more."""
        self.most_behind_ms = MOST_BEHIND_MS
        """So old an answer may be while partitions move."""
        self._work = asyncio.Event()
        self._plenty = asyncio.Event()
        self._cycles: asyncio.Task[None] | None = None
        self._next_tick = 0.0

    # -- partitions ----------------------------------------------------------------------------------

    def adopt(self, pipelines: dict[int, Pipeline]) -> None:
        """Take over partitions that are up to date."""
        for partition, pipeline in pipelines.items():
            if self._upkeep is None:
                pipeline.define(self.rules)
            pipeline.send(self._event_destinations)
            self.tasks[partition] = Task(pipeline, self._latest_ms, self._threads)

    async def drain(self) -> None:
        """Wait until everything taken is durable. Returns at once when the cycles have ended."""
        while any(task.busy for task in self.tasks.values()):
            if self._cycles is None or self._cycles.done():
                return
            await asyncio.sleep(DRAIN_SECONDS)

    async def hand_over(self) -> None:
        """Before partitions may move: drain, and note that no output is open, so that none is sent again."""
        await self.drain()
        for task in self.tasks.values():
            if task.busy:
                continue
            if task.pipeline.outgoing.noted_step < task.pipeline.outgoing.acked_step:
                # Only a member may note anything; the next owner sends it again.
                with contextlib.suppress(MembershipLost):
                    await self._committer.checkpoint(task.pipeline)
            task.pipeline.profiles.flush()

    def drop(self, partitions: set[int]) -> None:
        """Close partitions that are no longer ours; they must be drained."""
        for partition in partitions & self.tasks.keys():
            self.tasks.pop(partition).pipeline.close()

    # -- commit cycles -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        self._cycles = asyncio.create_task(self._run(), name="commit cycles")

    async def abort(self) -> None:
        """Stop at once, with whatever is in hand; for after a crash."""
        if self._cycles is not None:
            self._cycles.cancel()
            await asyncio.gather(self._cycles, return_exceptions=True)

    async def close(self) -> None:
        """The orderly end: hand over, stop, close the stores."""
        await self.hand_over()
        await self.abort()
        self.drop(set(self.tasks))

    async def take(self, partition: int, records: Sequence[Record], ack: Callable[[], object]) -> None:
        """Evaluate one batch of one source partition, for a partition of the table.

        ``ack`` is called when all of it is durable. Raises TaskMissing.
        """
        task = self.tasks.get(partition)
        if task is None:
            first, last = records[0], records[-1]
            raise TaskMissing(
                f"{first.topic}/{first.partition}, offsets {first.offset} to {last.offset}, came to a worker "
                f"that holds the partitions {sorted(self.tasks)} of the table, but not {partition}"
            )
        await task.offer(records, ack)
        self._work.set()
        if self._records_waiting() >= PLENTY_RECORDS:
            self._plenty.set()

    def _records_waiting(self) -> int:
        return sum(each.records_waiting for each in self.tasks.values())

    async def _run(self) -> None:
        committing: asyncio.Task[None] | None = None
        try:
            while True:
                if committing is not None:
                    await either(committing, self._plenty)
                works = await self._compute()
                if committing is not None:
                    await committing
                    committing = None
                if works:
                    committing = asyncio.create_task(self._commit(works), name="commit")
                else:
                    await self._wait_for_work()
        except asyncio.CancelledError:
            if committing is not None:
                committing.cancel()
                await asyncio.gather(committing, return_exceptions=True)
            raise
        except BaseException as error:
            self._crash(error)

    async def _compute(self) -> list[Work]:
        """One turn for every task."""
        self._work.clear()
        self._plenty.clear()
        now = asyncio.get_running_loop().time()
        tick = now >= self._next_tick
        if tick:
            self._next_tick = now + TICK_SECONDS
        waiting = sum(task.records_waiting > 0 for task in self.tasks.values())
        most = CYCLE_RECORDS if self._threads is None else CYCLE_RECORDS_ASIDE
        share = max(LEAST_RECORDS, min(TURN_RECORDS, most // max(1, waiting)))
        tasks = list(self.tasks.values())
        if self._threads is None:
            works = [await self._turn(task, share, tick) for task in tasks]
        else:
            works = await side_by_side([self._turn(task, share, tick) for task in tasks])
        return [work for work in works if work is not None]

    async def _turn(self, task: Task, share: int, tick: bool) -> Work | None:
        """One task's turn; None: there was nothing to do."""
        pipeline, work = task.pipeline, Work(task.pipeline)
        task.cycles += 1
        if self._upkeep is not None and not self.paused:
            work.steps += self._upkeep.turn(pipeline)
        if not self.paused and (burial := pipeline.bury()) is not None:
            work.steps.append(burial)
        await task.take_turn(work, lambda: self.paused, share)
        if (tick or pipeline.sweeping) and not self.paused:
            self._pass_time(pipeline.place.partition, work)
        if pipeline.overdue and not self.paused:
            self._work.set()
        if not work.acks:
            work.steps = [step for step in work.steps if step.counts.records or not step.is_empty]
        work.is_note = tick and not work.steps and not self.paused and pipeline.outgoing.is_unnoted
        if work.steps or work.acks or work.is_note:
            return work
        task.cycles -= 1
        return None

    def _pass_time(self, partition: int, work: Work) -> None:
        """Go on with a sweep, or let the stream time of an idle partition follow the wall clock."""
        pipeline = work.pipeline
        if pipeline.sweeping:
            users = USERS
            if pipeline.grafting is not None:
                grafting = sum(each.pipeline.grafting is not None for each in self.tasks.values())
                users = max(LEAST_GRAFTED_USERS, GRAFTED_USERS // grafting)
            work.steps.append(pipeline.sweep(users))
            self._work.set()
            return
        to_ms = self._decided_ms(partition)
        if to_ms is not None and to_ms > pipeline.stream_time_ms:
            work.steps.append(pipeline.punctuate(to_ms, USERS))

    def _decided_ms(self, partition: int) -> int | None:
        """The instant up to which no record will come any more, but for late ones. None: backlog."""
        seen_ms = self._clock.caught_up_ms(partition)
        return None if seen_ms is None else min(seen_ms, self._clock.wall_ms()) - self._grace_ms

    async def _commit(self, works: list[Work]) -> None:
        await self._committer.commit(works)
        for work in works:
            profiles = work.pipeline.profiles
            if profiles.durable_rows > CALM_BEHIND_ROWS and self._records_waiting() < PLENTY_RECORDS:
                profiles.flush()
                await asyncio.sleep(0)
            self.tasks[work.pipeline.place.partition].cycles -= 1

    async def _wait_for_work(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self._work.wait()

    # -- definitions ---------------------------------------------------------------------------------

    def define(self, rules: RuleSet) -> None:
        """Use these definitions from the next record on; rows are swept in the background."""
        self.rules = rules
        if self._upkeep is None:
            for task in self.tasks.values():
                task.pipeline.define(rules)
        log.info("definitions", audiences=sum(len(each.audiences) for each in rules.projects.values()))

    def send(self, destinations: EventDestinations) -> None:
        """These destinations get events from the next record on."""
        if destinations.wanted == self._event_destinations.wanted:
            return  # others changed: rules need not be compiled again
        self._event_destinations = destinations
        for task in self.tasks.values():
            task.pipeline.send(destinations)

    # -- lookups -------------------------------------------------------------------------------------

    def answer_of(self, partition: int) -> Answer | None:
        """The pipeline of a partition of the table, and the instant of its answer (decision 50); None: not on
        this worker.

        While partitions move, who has one answers as a reader does: it may be another's by now.
        """
        task = self.tasks.get(partition)
        if task is None or self.is_over:
            return None
        pipeline, wall_ms = task.pipeline, self._clock.wall_ms()
        if self.paused:
            behind_ms = max(0, wall_ms - pipeline.stream_time_ms)
            is_recent = behind_ms <= self.most_behind_ms
            return Answer(pipeline, pipeline.stream_time_ms, behind_ms) if is_recent else None
        decided_ms = self._decided_ms(partition)
        if decided_ms is None:
            return Answer(pipeline, pipeline.stream_time_ms)
        records_ms = max(pipeline.stream_time_ms, decided_ms)
        return Answer(pipeline, wall_ms, records_ms=records_ms if records_ms < wall_ms else None)

    by_row = at_once = answer_of
    """The same, for those who ask of single rows."""

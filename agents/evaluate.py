"""The evaluation of a worker's partitions: batches in, steps out, time passing, definitions changing.

This is what the Faust agent calls. Everything that computes runs in the event loop between awaits, so a
partition's rows are never seen half changed; long work is cut into slices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from agents.commits import Committer
from agents.lanes import SLICE, Lane
from agents.pipeline import Pipeline, Record
from agents.placement import partition_of
from rules.compile import EMPTY, RuleSet

log = structlog.get_logger("turnstile.evaluate")

TICK_SECONDS = 0.05


class Clock(Protocol):
    """What the evaluator knows of the world's time and of the ends of the logs."""

    def wall_ms(self) -> int: ...

    def caught_up_ms(self, partition: int) -> int | None:
        """Instant up to which every source log of this partition is known to hold no more. None: backlog."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a lookup can be answered here, and at which instant."""

    pipeline: Pipeline
    at_ms: int


class Evaluator:
    """All lanes of one worker. ``crash`` ends the worker without committing (a bug never skips data)."""

    def __init__(
        self, committer: Committer, clock: Clock, grace_ms: int, crash: Callable[[BaseException], None]
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._grace_ms = grace_ms
        self._crash = crash
        self.lanes: dict[int, Lane] = {}
        self.rules: RuleSet = EMPTY
        self.paused = True

    # -- partitions ----------------------------------------------------------------------------------

    def adopt(self, pipelines: dict[int, Pipeline]) -> None:
        """Take over partitions that are up to date."""
        for partition, pipeline in pipelines.items():
            pipeline.define(self.rules)
            self.lanes[partition] = Lane(pipeline, self._committer, lambda: self.paused, self._crash)

    async def drain(self) -> None:
        """Wait until everything taken is durable."""
        for lane in self.lanes.values():
            await lane.drained()

    async def settle(self) -> None:
        """Before partitions may move: drain, and note that no output is open, so that none is sent again."""
        await self.drain()
        for lane in self.lanes.values():
            if lane.open and lane.pipeline.noted_step < lane.pipeline.acked_step:
                await self._committer.marker(lane.pipeline)

    async def drop(self, partitions: set[int]) -> None:
        """Close partitions that are no longer ours."""
        for partition in partitions & self.lanes.keys():
            await self.lanes.pop(partition).close()

    async def close(self) -> None:
        """The orderly end: settle, close the stores."""
        await self.settle()
        await self.drop(set(self.lanes))

    # -- records -------------------------------------------------------------------------------------

    async def take(self, partition: int, records: Sequence[Record], ack: Callable[[], object]) -> None:
        """Evaluate one batch of one source partition. ``ack`` is called when all of it is durable."""
        lane = self.lanes.get(partition)
        if lane is None:
            return  # revoked meanwhile: the records are the next owner's, and stay unacknowledged
        await lane.offer(records, ack)

    # -- time ----------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Let the clocks of idle partitions follow the wall, and go on with sweeps."""
        for partition, lane in list(self.lanes.items()):
            pipeline = lane.pipeline
            if not lane.has_slot or self.paused:
                continue
            if pipeline.sweeping:
                await lane.step(partial(pipeline.sweep, SLICE))
            elif pipeline.overdue:
                await lane.step(partial(pipeline.advance, pipeline.clock_ms, SLICE))
            else:
                seen_ms = self._clock.caught_up_ms(partition)
                if seen_ms is not None:
                    to_ms = min(seen_ms, self._clock.wall_ms()) - self._grace_ms
                    if to_ms > pipeline.clock_ms:
                        await lane.step(partial(pipeline.advance, to_ms, SLICE))
            await asyncio.sleep(0)

    async def run_ticks(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Tick until cancelled; again at once while there is work left."""
        while True:
            await self.tick()
            more = any(
                lane.open and not self.paused and (lane.pipeline.sweeping or lane.pipeline.overdue)
                for lane in self.lanes.values()
            )
            await sleep(0.001 if more else TICK_SECONDS)

    # -- definitions ---------------------------------------------------------------------------------

    def define(self, rules: RuleSet) -> None:
        """Use these definitions from the next record on; rows are swept in the background."""
        self.rules = rules
        for lane in self.lanes.values():
            lane.pipeline.define(rules)
        log.info("definitions", audiences=sum(len(each.audiences) for each in rules.projects.values()))

    # -- lookups -------------------------------------------------------------------------------------

    def answer(self, user_id: str, partitions: int) -> Answer | None:
        """The pipeline that holds the user, and the instant of its answer; None: not on this worker."""
        partition = partition_of(user_id, partitions)
        lane = self.lanes.get(partition)
        if lane is None or not lane.open or self.paused:
            return None
        caught_up = self._clock.caught_up_ms(partition) is not None
        at_ms = self._clock.wall_ms() if caught_up else lane.pipeline.clock_ms
        return Answer(lane.pipeline, at_ms)

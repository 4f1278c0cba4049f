"""The estimate's loop: read, evaluate a sample, look, and evaluate more where that isn't precise enough.

    one pass over the log ──▶ records of a range of users in memory ──▶ evaluate up to the next look
          ▲                                                                      │ precise enough: done
          └───────────── the range is used up ◀──────────────── otherwise the sample is doubled

Looks are at bounds that are known before anything is evaluated, so that stopping early is right
(``agents.estimate.interval``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.estimate.evaluate import Decided, decide_users
from agents.estimate.frame import MOST_USERS, SPAN, Frame
from agents.estimate.interval import Sample
from agents.estimate.kept import KEPT_BYTES, Pass, Range
from agents.estimate.log import Log
from agents.estimate.progress import Progress, Told, untold
from agents.estimate.sieve import Sieve
from agents.evaluate.steps import Limits
from rules.compile.rule_set import RuleSet
from rules.time.instants import MAX_MS


@dataclass(frozen=True, slots=True)
class Clock:
    """The instant that is asked about (ms): ``wall_ms``, or the log's end if that is later. None: its end.

    ``latest_ms``: records with later timestamps are dead letters.
    """

    wall_ms: int | None = None
    latest_ms: int = MAX_MS

    def at_ms(self, log_ms: int) -> int:
        return max(self.wall_ms or 0, log_ms)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work is done. ``exact``: every user is evaluated."""

    exact: bool = False
    seed: int = 0
    kept_bytes: int = KEPT_BYTES
    most_users: int = MOST_USERS


class Asked(Protocol):
    """What is asked of the users."""

    @property
    def rules(self) -> Sequence[RuleSet]:
        """Each user is evaluated under each of them."""

    def add(self, decided: Sequence[Decided]) -> None:
        """Count some users, as each of the rule sets has them."""

    def is_enough(self, sample: Sample) -> bool:
        """Whether what is counted so far is precise enough."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the loop came to."""

    sample: Sample
    at_ms: int
    looks: int
    passes: int
    history_from_ms: int | None = None
    """From when on all of the history is there; None: from its begin."""


async def draw(
    log: Log, asked: Asked, limits: Limits, clock: Clock, effort: Effort, told: Told = untold
) -> Drawn:
    """Count users of the log until it is enough."""
    frame = Frame(effort.seed, effort.most_users)
    sieve = Sieve(asked.rules, limits)
    looks: list[int] = []
    at_ms = done = sampled = passes = looked = 0
    while done < SPAN:
        passes += 1
        users = await _read(log, Pass(log, frame, sieve, done, clock.latest_ms), effort, told)
        if not looks:
            looks, at_ms = frame.looks(effort.exact), clock.at_ms(users.log_ms)
        bounds = [*(each for each in looks if done < each < users.high), users.high]
        for bound, some in zip(bounds, users.parts(bounds), strict=True):
            await _evaluate(some, log, asked, limits, at_ms)
            sampled, done = sampled + len(some.users), bound
            told(Progress("evaluate", sampled, frame.users))
            if bound < SPAN and bound in looks:
                looked += 1
                # The last look has every user: it can't be wrong.
                sample = Sample(max(sampled, frame.users), sampled, len(looks) - 1, frame.spread)
                if asked.is_enough(sample):
                    return Drawn(sample, at_ms, looked, passes, users.history_from_ms)
    return Drawn(Sample(sampled, sampled), at_ms, looked + 1, passes, users.history_from_ms)


async def _read(log: Log, reading: Pass, effort: Effort, told: Told) -> Range:
    total = log.records

    def read(done: int) -> None:
        told(Progress("read", min(done, total), total))

    return await reading.run(effort.kept_bytes, read)


async def _evaluate(users: Range, log: Log, asked: Asked, limits: Limits, at_ms: int) -> None:
    runs = [decide_users(users, log.partitions, rules, limits, at_ms) for rules in asked.rules]
    async for first in runs[0]:
        asked.add([first, *[await anext(each) for each in runs[1:]]])

"""Estimates of audiences over a log, from the question to the answer (``agents.estimate.sampling``)."""

from __future__ import annotations

import time
from collections.abc import Collection

from agents.estimate.answer import Estimate, How
from agents.estimate.figures import AudienceName, Figures
from agents.estimate.interval import CONFIDENCE
from agents.estimate.log import Log
from agents.estimate.progress import Told, untold
from agents.estimate.sampling import Clock, Effort, draw
from agents.evaluate.steps import Limits
from rules.compile.rule_set import RuleSet
from rules.time.instants import format_instant

ERROR = 0.05
DAYS = 14


async def estimate(
    log: Log,
    rules: RuleSet,
    audiences: Collection[AudienceName],
    limits: Limits,
    clock: Clock,
    *,
    error: float = ERROR,
    days: int = DAYS,
    effort: Effort | None = None,
    told: Told = untold,
) -> list[Estimate]:
    """How large audiences of a rule set are.

    The work ends when each size is known up to the relative ``error``, or when all users are evaluated.
    """
    effort = effort or Effort()
    started = time.monotonic()
    figures = Figures(rules, audiences, error)
    drawn = await draw(log, figures, limits, clock, effort, told)
    sample = drawn.sample
    how = How(
        sample.users,
        sample.spread == 0,
        sample.sampled,
        drawn.looks,
        sample.looks,
        CONFIDENCE,
        log.records,
        drawn.passes,
        round(time.monotonic() - started, 3),
        None if drawn.history_from_ms is None else format_instant(drawn.history_from_ms),
    )
    return [each.estimate(sample, drawn.at_ms, days, how) for each in figures.of]

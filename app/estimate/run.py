"""Answering a question in this process, from the log in Kafka."""

from __future__ import annotations

import time

from agents.estimate.answer import Estimate
from agents.estimate.estimate import estimate
from agents.estimate.kafka_log import open_log
from agents.estimate.progress import Told, untold
from agents.estimate.sampling import Clock, Effort
from app.estimate.question import At, Question
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of, plan_of
from app.settings.limits import limits_of
from app.settings.tree import Settings


async def run(settings: Settings, question: Question, told: Told = untold) -> list[Estimate]:
    """The estimates, in the order of the question. Raises CommandFailed when no broker answers,
    or there is no log.

    Between pieces of work it gives way to other tasks; cancelling it ends the work.
    """
    precision = question.precision
    async with connected_admin(settings) as admin:
        plan = plan_of(settings)
        log = await open_log(admin, broker_of(settings), plan, limits_of(settings).formats)
        if not log.topics and not log.runs:
            names = ", ".join(plan.events)
            raise CommandFailed(f"there is no log: no topic has the name {names} (topics.events)")
        return await estimate(
            log,
            question.rules(settings.state.max_samples, wall_ms()),
            question.names,
            limits_of(settings),
            clock_of(settings, precision.at),
            error=precision.error,
            days=precision.days,
            effort=Effort(precision.exact),
            told=told,
        )


def clock_of(settings: Settings, at: At) -> Clock:
    """The instant that is asked about, as a worker's clock has it (rules, section 2)."""
    now_ms, clock = wall_ms(), settings.clock
    return Clock(now_ms - clock.grace_ms if at == "now" else None, now_ms + clock.max_lead_ms)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000

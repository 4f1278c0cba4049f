"""One question to the process that a worker asks, over one log: with a relative error, and exactly."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass

from agents.estimate.answer import Estimate
from app.estimate.process import ask
from app.estimate.question import Precision, Question
from app.settings.tree import Settings
from bench.kafka.brokers import BenchBroker
from bench.kafka.clients import make_topic, produce
from bench.processes import BenchFailed
from bench.report import Report
from bench.workload.events import LogSpec, generate
from rules.model.language import Audience
from rules.parse.definitions import load_definitions

ERROR = 0.05
AUDIENCE = """
id: serious
name: Puts dear things into the cart
rule: {event: add_to_cart, where: {price: {gte: 38}}, count: {gte: 2}, within: 7d}
"""
"""A twentieth of the users; an eighth of the events are of its name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer. ``seconds`` from the question to the answer, with the start of the process;
    ``cpu_seconds`` of that process."""

    exact: bool
    seconds: float
    cpu_seconds: float
    users: int
    low: int
    high: int
    sampled_users: int
    log_users: int
    looks: int


async def measure(broker: BenchBroker, spec: LogSpec, repeat: int, say: Callable[[str], None]) -> list[Asked]:
    """Pairs of answers, taking turns. Raises BenchFailed where an interval doesn't hold the exact size."""
    prefix = f"bench-estimate-{time.time_ns() // 1_000_000}"
    topic = f"{prefix}.events"
    say(f"writing {spec.events:,} events of {spec.users:,} users to {topic}")
    await make_topic(broker.bootstrap, topic, spec.partitions)
    await produce(broker.bootstrap, topic, spec.partitions, generate(spec, topic))
    settings = Settings.model_validate(
        {"kafka": {"bootstrap": broker.bootstrap}, "topics": {"prefix": prefix, "events": [topic]}}
    )
    audiences = tuple(load_definitions([("bench.yaml", AUDIENCE)]))
    found = []
    for turn in range(repeat):
        say(f"run {turn + 1} of {repeat}")
        sampled, exact = [await _asked(settings, audiences, exact) for exact in (False, True)]
        if not sampled.low <= exact.users <= sampled.high:
            raise BenchFailed(f"{sampled.low} to {sampled.high} doesn't hold the exact size, {exact.users}")
        if max(sampled.high - sampled.users, sampled.users - sampled.low) > ERROR * sampled.users:
            raise BenchFailed(f"{sampled.low} to {sampled.high} is wider than asked for")
        found += [sampled, exact]
    return found


async def _asked(settings: Settings, audiences: tuple[Audience, ...], exact: bool) -> Asked:
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    answer = await _answer(settings, Question(audiences, (), Precision(ERROR, exact)))
    seconds = time.perf_counter() - began
    size, how = answer.size, answer.how
    return Asked(
        exact,
        seconds,
        _cpu_seconds() - cpu_began,
        size.users,
        size.low,
        size.high,
        how.sampled_users,
        how.log_users,
        how.looks,
    )


async def _answer(settings: Settings, question: Question) -> Estimate:
    async with aclosing(ask(settings, question)) as messages:
        async for message in messages:
            if message.failed is not None:
                raise BenchFailed(message.failed.reason)
            if message.estimates is not None:
                return message.estimates.estimates[0]
    raise BenchFailed("the process ended without an answer")


def _cpu_seconds() -> float:
    """Of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(report: Report, spec: LogSpec, answers: list[Asked]) -> None:
    rows = [
        (
            "all users" if each.exact else f"±{ERROR:.0%}, a sample",
            f"{each.seconds:.1f}",
            f"{each.cpu_seconds:.1f}",
            f"{each.users:,}",
            f"{each.low:,} to {each.high:,}",
            f"{each.sampled_users / each.log_users:.0%}",
            str(each.looks),
        )
        for each in answers
    ]
    columns = ("", "seconds", "CPU s", "members", "interval", "users evaluated", "looks")
    report.table(f"estimate: {spec.events:,} events of {answers[0].log_users:,} users", columns, rows)
    for what in ("seconds", "cpu_seconds"):
        ratios = [
            getattr(exact, what) / getattr(sampled, what)
            for sampled, exact in zip(answers[::2], answers[1::2], strict=True)
        ]
        told = ", ".join(f"{each:.2f}" for each in ratios)
        report.say(f"all users take {told} times the {what.replace('_', ' ')} of the sample")
    report.say(f"load average of the machine at the end: {os.getloadavg()[0]:.1f}")
    report.keep("log", asdict(spec))
    report.keep("answers", [asdict(each) for each in answers])

"""Logs in memory, and what the pipeline says of all their users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.estimate.answer import Estimate
from agents.estimate.estimate import estimate
from agents.estimate.log import GivenLog
from agents.estimate.sampling import Clock, Effort
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Record
from agents.kafka.placement import Place, partition_of
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.parse.definitions import load_definitions
from rules.state.row import Transition
from tables.profiles import Profiles
from tables.store import MemoryStore

Json = Any
DAY_MS = 86_400_000
START_MS = 1_790_000_000_000


@dataclass(slots=True)
class LogRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    partition: int = 0
    topic: str = "events"
    headers: Sequence[tuple[str, bytes | None]] = ()


def log_of(bodies: Iterable[tuple[int, Json]], partitions: int = 1) -> GivenLog:
    """(record timestamp, body) in the order of the log, each where its user is."""
    sources: list[list[Record]] = [[] for _ in range(partitions)]
    for at_ms, body in bodies:
        user = body["user_id"]
        partition = partition_of(user, partitions)
        here = sources[partition]
        here.append(LogRecord(len(here), at_ms, user.encode(), json.dumps(body).encode(), partition))
    return GivenLog(partitions, sources)


def rules_of(rules: Mapping[str, Json], created_ms: int = START_MS) -> RuleSet:
    """Audiences by id; a value is a rule or, with the key ``rule``, a definition without id and name."""
    definitions = [
        {"id": id, "name": id, **(each if "rule" in each else {"rule": each})} for id, each in rules.items()
    ]
    return compiled(definitions, created_ms)


def compiled(definitions: list[Json], created_ms: int = START_MS) -> RuleSet:
    loaded = load_definitions([("a.json", json.dumps({"audiences": definitions}))])
    return compile_rules([PublishedAudience(each, 1, created_ms=created_ms) for each in loaded])


def estimated(
    log: GivenLog,
    rules: RuleSet,
    *ids: str,
    at_ms: int | None = None,
    effort: Effort | None = None,
    **options: Any,
) -> list[Estimate]:
    names = [("default", each) for each in ids]
    clock = Clock(at_ms)
    return asyncio.run(estimate(log, rules, names, Limits(), clock, effort=effort, **options))


def everything(log: GivenLog, rules: RuleSet, at_ms: int, limits: Limits | None = None) -> list[Transition]:
    """All transitions up to an instant, as workers make them that read every record."""
    found: list[Transition] = []
    for number, source in enumerate(log.sources):
        place = Place(number, log.partitions)
        pipeline = Pipeline(place, Profiles(MemoryStore(), 1 << 40), limits or Limits())
        pipeline.define(rules)
        steps = [pipeline.apply(source)]
        while True:
            pipeline.acked(steps[-1])
            pipeline.profiles.durable(steps[-1].staged)
            steps.append(pipeline.punctuate(at_ms + 1, 1000))
            if not pipeline.overdue:
                break
        found += [each for step in steps for each in step.transitions]
    return found


def members(transitions: Iterable[Transition], audience: str) -> set[str]:
    inside: set[str] = set()
    for each in transitions:
        if each.audience == audience:
            (inside.add if each.is_enter else inside.discard)(each.user_id)
    return inside


def log_end_ms(log: GivenLog) -> int:
    return max(each.timestamp for source in log.sources for each in source)

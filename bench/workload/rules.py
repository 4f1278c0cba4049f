"""The rules of the benchmarks, and how many conditions an event meets under them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.publish.files import load_audiences
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.model.language import Audience

AUDIENCES = Path(__file__).parent / "audiences.yaml"


def bench_audiences() -> list[Audience]:
    return load_audiences([AUDIENCES])


def published(audiences: Iterable[Audience]) -> list[PublishedAudience]:
    return [PublishedAudience(audience, version=1) for audience in audiences]


def compiled(audiences: Iterable[Audience]) -> RuleSet:
    return compile_rules(published(audiences))


def conditions_of(rules: RuleSet, event: str) -> int:
    """How many conditions are about events of this name: each is tested against such an event, or updated."""
    project = rules.project("default")
    return len(project.by_event.get(event, project.any_event).conditions)

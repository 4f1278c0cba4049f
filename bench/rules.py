"""The rules of the benchmarks, and how many conditions an event meets under them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from app.definition_files import load_audiences
from rules.compile import PublishedAudience, RuleSet, compile_rules
from rules.model import Audience

AUDIENCES = Path(__file__).parent / "audiences.yaml"


def bench_audiences() -> list[Audience]:
    return load_audiences([AUDIENCES])


def published(audiences: Iterable[Audience]) -> list[PublishedAudience]:
    return [PublishedAudience(audience, version=1) for audience in audiences]


def compiled(audiences: Iterable[Audience]) -> RuleSet:
    return compile_rules(published(audiences))


class Evaluations:
    """Counts condition evaluations: an event and a condition of its name that is tested or updated."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, rules: RuleSet) -> RuleSet:
        """The same rules, counting from now on. They are changed in place: compile them for this only."""
        for project in rules.projects.values():
            for condition in project.conditions.values():
                # A condition with a `where` is evaluated by it, whether or not it then takes the event.
                name = "observe" if condition.where is None else "where"
                setattr(condition, name, self._counting(getattr(condition, name)))
        return rules

    def _counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            self.count += 1
            return function(*arguments)

        return counting

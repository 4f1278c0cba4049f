"""What an estimate asks: definitions, beside those that are published, and how precisely."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agents.estimate.estimate import DAYS, ERROR
from agents.estimate.figures import AudienceName
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.model.language import Audience, references

At: TypeAlias = Literal["now", "end"]
"""The instant that is asked about: now, as a worker has it that is caught up; or where the log ends."""


@dataclass(frozen=True, slots=True)
class Precision:
    """``error``: relative, of each size. ``days``: so many whole days of sizes before today's."""

    error: float = ERROR
    exact: bool = False
    days: int = DAYS
    at: At = "now"


@dataclass(frozen=True, slots=True)
class Question:
    """``wanted`` are asked about; they take the place of published ones of the same ids."""

    wanted: tuple[Audience, ...]
    published: tuple[PublishedAudience, ...] = ()
    precision: Precision = Precision()

    @property
    def names(self) -> list[AudienceName]:
        return [(each.project, each.id) for each in self.wanted]

    def rules(self, max_samples: int, now_ms: int) -> RuleSet:
        """The audiences asked about with those that their rules refer to, directly or not.

        ``now_ms`` is when those are published that aren't yet: ``schedule: once`` is computed then.
        """
        known = {(each.audience.project, each.audience.id): each for each in self.published}
        known |= {
            (each.project, each.id): PublishedAudience(each, 1, created_ms=now_ms) for each in self.wanted
        }
        return compile_rules(with_references(self.names, known.values()), max_samples)


def with_references(
    names: Iterable[AudienceName], among: Collection[PublishedAudience]
) -> list[PublishedAudience]:
    """These audiences and all that their rules refer to; deleted ones are left out."""
    known = {(each.audience.project, each.audience.id): each for each in among if not each.deleted}
    found: dict[AudienceName, PublishedAudience] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or name not in known:
            continue
        found[name] = each = known[name]
        waiting += [(name[0], other) for other in references(each.audience.rule)]
    return list(found.values())

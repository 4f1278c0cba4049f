"""What an edit would do: how many would enter and leave, from the same users under both rule sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from agents.estimate.evaluate import Decided
from agents.estimate.figures import AudienceName
from agents.estimate.interval import Sample, Sized
from rules.compile.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class ChangeEstimate:
    """One audience whose members may differ; also one that only asks about an edited one.

    ``enters`` and ``exits`` are users who are in under one rule set alone, each with its 95 % interval.
    """

    project: str
    audience: str
    before: Sized
    after: Sized
    enters: Sized
    exits: Sized


@dataclass(slots=True)
class _Moved:
    """Numbers of sampled users."""

    before: int = 0
    after: int = 0
    enters: int = 0
    exits: int = 0


@dataclass(slots=True)
class ChangeFigures:
    """What is counted of each user for a change (``agents.estimate.sampling.Asked``).

    ``error`` is a share of the larger one of an audience's sizes before and after.
    """

    old: RuleSet
    new: RuleSet
    audiences: Collection[AudienceName]
    error: float
    _moved: dict[AudienceName, _Moved] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._moved = {each: _Moved() for each in self.audiences}

    @property
    def rules(self) -> Sequence[RuleSet]:
        return self.old, self.new

    def add(self, decided: Sequence[Decided]) -> None:
        for name, moved in self._moved.items():
            before, after = (_members(each, name) for each in decided)
            moved.before += len(before)
            moved.after += len(after)
            moved.enters += len(after - before)
            moved.exits += len(before - after)

    def is_enough(self, sample: Sample) -> bool:
        return all(self._is_enough(each) for each in self.estimates(sample))

    def _is_enough(self, change: ChangeEstimate) -> bool:
        size = max(change.before.users, change.after.users)
        return all(
            each.is_within(self.error, size)
            for each in (change.before, change.after, change.enters, change.exits)
        )

    def estimates(self, sample: Sample) -> list[ChangeEstimate]:
        """By project and id."""
        return [
            ChangeEstimate(
                *name,
                sample.sized(moved.before),
                sample.sized(moved.after),
                sample.sized(moved.enters),
                sample.sized(moved.exits),
            )
            for name, moved in sorted(self._moved.items())
        ]


def _members(decided: Decided, name: AudienceName) -> set[str]:
    project, audience_id = name
    audience = decided.rules.project(project).by_id(audience_id)
    if audience is None:
        return set()
    return {each.user_id for each in decided.rows if each.project == project and each.row.is_in(audience.key)}

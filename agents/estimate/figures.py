"""What is counted of the sampled users for an audience's estimate."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from msgspec import UNSET

from agents.estimate.answer import DaySize, Estimate, How, PartSize, SampleMember, Size
from agents.estimate.candidates import Candidates
from agents.estimate.daily import Daily
from agents.estimate.evaluate import Decided, UserRow
from agents.estimate.interval import Sample
from agents.estimate.parts import PartCount, parts_of
from rules.compile.rule_set import RuleSet
from rules.decide.predict import predict_exit
from rules.explain.as_json import explained_document
from rules.explain.explain import explain
from rules.state.row import Row
from rules.time.instants import format_instant

MEMBERS: Final = 10
"""Members that are shown."""
AudienceName = tuple[str, str]
"""Project and id."""


class AudienceFigures:
    """One audience's."""

    def __init__(self, rules: RuleSet, project: str, audience: str) -> None:
        """Raises KeyError when the rules have no such audience."""
        found = rules.project(project).by_id(audience)
        if found is None:
            raise KeyError((project, audience))
        self._rules = rules.project(project)
        self.audience = found
        self.daily = Daily(found.source.timezone)
        self.users = 0
        self.members = 0
        self.candidates = 0
        self.parts = parts_of(found)
        self.shown: list[SampleMember] = []
        self._candidates = Candidates(self._rules, found)

    def add(self, decided: Decided) -> None:
        audience = self.audience
        blank = decided.blank.get(audience.project, 0)
        self.users += blank
        self.parts.count(Row(now_ms=0), decided.at_ms, blank)
        for each in decided.rows:
            if each.project != audience.project:
                continue
            self.users += 1
            self.candidates += self._candidates.has(each.row)
            self.parts.count(each.row, decided.at_ms)
            if each.row.is_in(audience.key):
                self.members += 1
                if len(self.shown) < MEMBERS:
                    self.shown.append(self._shown(each, decided.at_ms))
        for transition in decided.transitions:
            if transition.audience == audience.id and transition.project == audience.project:
                self.daily.add(transition.at_ms, transition.is_enter)

    def _shown(self, user: UserRow, at_ms: int) -> SampleMember:
        row, audience = user.row, self.audience
        exit_ms = predict_exit(self._rules, audience, row, at_ms)
        return SampleMember(
            user.user_id,
            format_instant(row.since_ms(row.audiences[audience.key])),
            None if exit_ms is None else format_instant(exit_ms),
            explained_document(explain(self._rules, audience, row, at_ms, {})),
        )

    def estimate(self, sample: Sample, at_ms: int, days: int, how: How) -> Estimate:
        """The answer. ``days``: how many whole days before the instant's own."""

        def size(found: int) -> Size:
            return Size.of(sample.sized(found))

        from_ms = self.daily.days_before(at_ms, days)
        return Estimate(
            self.audience.project,
            self.audience.id,
            format_instant(at_ms),
            size(self.members),
            size(self.users),
            size(self.candidates),
            _part_size(self.parts, sample),
            [DaySize(day.isoformat(), size(each)) for day, each in self.daily.sizes(from_ms, at_ms)],
            self.shown,
            how,
        )


class Figures:
    """Those of all audiences that are asked about (``agents.estimate.sampling.Asked``)."""

    def __init__(self, rules: RuleSet, audiences: Collection[AudienceName], error: float) -> None:
        """``error``: relative, of each audience's size."""
        self.rules: Sequence[RuleSet] = (rules,)
        self.of = [AudienceFigures(rules, *each) for each in audiences]
        self._error = error

    def add(self, decided: Sequence[Decided]) -> None:
        for each in self.of:
            each.add(decided[0])

    def is_enough(self, sample: Sample) -> bool:
        return all(sample.sized(each.members).is_within(self._error) for each in self.of)


def _part_size(part: PartCount, sample: Sample) -> PartSize:
    def size(found: int) -> Size:
        return Size.of(sample.sized(found))

    return PartSize(
        part.kind,
        part.text,
        size(part.holds),
        keeps=size(part.keeps) if part.is_in_all else UNSET,
        drops=size(part.drops) if part.is_in_all else UNSET,
        adds=size(part.adds) if part.is_in_any else UNSET,
        parts=[_part_size(each, sample) for each in part.parts] or UNSET,
    )

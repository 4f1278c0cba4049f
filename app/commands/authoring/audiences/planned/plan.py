"""What ``turnstile audiences apply`` would do, as data: it can be shown before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.compile.audience import PublishedAudience
from rules.model.computation import same_computation
from rules.model.language import Audience, references
from rules.write.audience import changed_keys

Action: TypeAlias = Literal["create", "change", "delete", "same"]
AudienceId: TypeAlias = tuple[str, str]
"""Project and id."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What happens to one audience."""

    action: Action
    audience: Audience
    """As it will be; one that is deleted as it is now."""
    before: PublishedAudience | None
    """As it was last published, deleted or not; None: never, or its record can't be used."""
    is_computed: bool
    """Who is a member is computed anew; otherwise the change holds at once."""

    @property
    def id(self) -> AudienceId:
        return self.audience.project, self.audience.id

    def parts(self) -> list[str]:
        """The keys of the definition that a change changes, in the order in which they are written."""
        if self.before is None or self.action != "change":
            return []
        return changed_keys(self.before.audience, self.audience)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, in the order of the files; deletions come last."""

    changes: tuple[PlannedChange, ...]

    def of(self, *actions: Action) -> list[PlannedChange]:
        return [each for each in self.changes if each.action in actions]

    @property
    def differences(self) -> list[PlannedChange]:
        return self.of("create", "change", "delete")


def make_plan(
    published: Collection[PublishedAudience],
    wanted: Sequence[Audience],
    *,
    prune: bool = False,
    unusable: Collection[AudienceId] = (),
) -> Plan:
    """Compare definitions with what is published, deleted ones included.

    ``prune``: audiences of the projects of ``wanted`` that it lacks are deleted. ``unusable`` are those whose
    latest record can't be read: they are written anew.
    """
    known = {(each.audience.project, each.audience.id): each for each in published}
    changes = [_planned(audience, known, unusable) for audience in wanted]
    if prune:
        ids, projects = {each.id for each in changes}, {each.project for each in wanted}
        gone = [each for key, each in known.items() if key[0] in projects and key not in ids]
        changes += [
            PlannedChange("delete", each.audience, each, is_computed=False)
            for each in sorted(gone, key=lambda each: (each.audience.project, each.audience.id))
            if not each.deleted
        ]
    return Plan(tuple(changes))


def _planned(
    audience: Audience, known: dict[AudienceId, PublishedAudience], unusable: Collection[AudienceId]
) -> PlannedChange:
    key = audience.project, audience.id
    before = known.get(key)
    if key in unusable:
        return PlannedChange("change", audience, before, is_computed=True)
    if before is None or before.deleted:
        return PlannedChange("create", audience, before, is_computed=True)
    if repr(before.audience) == repr(audience):  # 1, 1.0 and True are equal to Python, not to a rule
        return PlannedChange("same", audience, before, is_computed=False)
    return PlannedChange("change", audience, before, not same_computation(before.audience, audience))


def refused_deletions(plan: Plan, published: Collection[PublishedAudience]) -> list[str]:
    """Why audiences that aren't in the files can't be deleted: others, which stay, refer to them."""
    gone = {each.id for each in plan.of("delete")}
    if not gone:
        return []
    planned = {each.id: each.audience for each in plan.changes}
    after = {
        (each.audience.project, each.audience.id): each.audience for each in published if not each.deleted
    } | planned
    staying = [each for key, each in sorted(after.items()) if key not in gone]
    return [
        f"--prune: audience '{id}' of project '{project}' isn't in the files, but is part of the rule of "
        f"{told}: keep it, or change that first"
        for project, id in sorted(gone)
        if (told := ", ".join(_asking(staying, project, id)))
    ]


def _asking(staying: Sequence[Audience], project: str, id: str) -> Iterator[str]:
    for each in staying:
        if each.project == project and id in references(each.rule):
            yield f"'{each.id}'"

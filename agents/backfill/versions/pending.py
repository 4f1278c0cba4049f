"""What a partition lacks of the published versions, and in which groups it is brought there.

Changes of name, description, labels or ``backfill``, deletions, and new audiences that ask for no history
hold at once. What is left is computed from the history: new audiences before edits, because edits may be
held, and each group for itself, because a shadow reads one stretch of history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.backfill.versions.catalog import Active, Catalog
from rules.model import language
from rules.model.computation import same_computation
from rules.state.row import Cause


@dataclass(frozen=True, slots=True)
class Target:
    """A version that is to be computed."""

    audience: str
    """``project/id``."""
    version: int
    cause: Cause
    is_edit: bool
    """It takes the place of a version that decides now: people may be thrown out."""
    is_rebuild: bool
    history_ms: int | None
    """As its author asks for (``Backfill``)."""


@dataclass(frozen=True, slots=True)
class Pending:
    """``at_once``: audiences whose versions may change without a computation."""

    at_once: Mapping[str, int]
    groups: tuple[tuple[Target, ...], ...]
    """Each to be computed together, in this order."""

    @property
    def is_empty(self) -> bool:
        return not self.at_once and not self.groups


def pending_of(catalog: Catalog, active: Active, is_held: Callable[[Target], bool]) -> Pending:
    """What brings a partition from ``active`` to the versions that are wanted. Held versions wait."""
    at_once: dict[str, int] = {}
    deleted: dict[str, int] = {}
    groups: dict[tuple[bool, int | None], list[Target]] = {}
    for audience, version in sorted(catalog.wanted.items()):
        before = active.get(audience)
        if before == version:
            continue
        published = catalog.published(audience, version)
        if published.deleted:
            deleted[audience] = version
            continue
        target = _target(catalog, audience, before, version)
        if target is None:
            at_once[audience] = version
        elif not is_held(target):
            groups.setdefault((target.is_edit, target.history_ms), []).append(target)
    if deleted:
        asked = _asked_about(catalog, active, at_once)
        at_once |= {each: version for each, version in deleted.items() if each not in asked}
    ordered = sorted(groups.items(), key=lambda each: (each[0][0], each[0][1] is not None, each[0][1] or 0))
    return Pending(at_once, tuple(tuple(group) for _, group in ordered))


def _target(catalog: Catalog, audience: str, before: int | None, version: int) -> Target | None:
    """What is to be computed; None: the change holds at once."""
    new = catalog.published(audience, version)
    old = None if before is None else catalog.published(audience, before)
    if old is not None and old.deleted:
        old = None
    is_rebuild = any(each.rebuild for each in catalog.between(audience, before or 0, version))
    if old is not None and not is_rebuild and same_computation(old.audience, new.audience):
        return None
    history_ms = new.audience.backfill.history_ms
    if history_ms == 0 and old is None:
        return None  # an edit goes by the guard: its conditions may begin empty, and members leave
    cause: Cause = "backfill" if old is None or is_rebuild else "definition"
    return Target(audience, version, cause, old is not None, is_rebuild, history_ms)


def _asked_about(catalog: Catalog, active: Active, at_once: Active) -> set[str]:
    """The audiences that those in force ask about: they go when nobody asks about them any more."""
    found: set[str] = set()
    for audience, version in {**active, **at_once}.items():
        published = catalog.published(audience, version)
        if not published.deleted:
            project = published.audience.project
            found.update(f"{project}/{each}" for each in language.references(published.audience.rule))
    return found


def closure(catalog: Catalog, active: Active, audiences: set[str]) -> list[str]:
    """These audiences and all that they ask about, directly or not."""
    found: set[str] = set()
    waiting = sorted(audiences)
    while waiting:
        each = waiting.pop()
        if each in found or each not in active:
            continue
        published = catalog.published(each, active[each])
        if published.deleted:
            continue
        found.add(each)
        project = published.audience.project
        waiting += [f"{project}/{other}" for other in language.references(published.audience.rule)]
    return sorted(found)


def unhindered(
    catalog: Catalog, active: Active, coming: tuple[Target, ...], computed: tuple[Target, ...]
) -> tuple[Target, ...]:
    """Of the targets that may come out those that ask about no other one of the same computation which may
    not: they were computed with its new version. ``active``: the versions that were computed."""
    others = {each.audience for each in computed} - {each.audience for each in coming}
    while others:
        found = tuple(each for each in coming if others.isdisjoint(closure(catalog, active, {each.audience})))
        if found == coming:
            break
        coming, others = found, {each.audience for each in computed} - {each.audience for each in found}
    return coming

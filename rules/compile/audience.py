"""One audience: as it was published, and as it runs."""

from __future__ import annotations

from dataclasses import dataclass

from rules.conditions.truth import CompiledRule, NextChange, Truth
from rules.model import language
from rules.time.schedules import ComputeInstants


@dataclass(frozen=True, slots=True)
class PublishedAudience:
    """A definition with the version under which it was published; a deleted one keeps its name."""

    audience: language.Audience
    version: int
    deleted: bool = False
    created_ms: int = 0
    """When this version was published: the compute instant of a batch audience with ``schedule: once``."""


@dataclass(frozen=True, slots=True)
class CompiledAudience:
    """A definition, ready to decide: closures, and its place among the project's audiences."""

    index: int
    """Position in ``ProjectRules.audiences``: after those that the rule asks about, otherwise by id."""
    key: int
    project: str
    id: str
    name: str
    version: int
    truth: Truth
    change: NextChange
    rule: Truth
    """The rule's; of a batch audience, whatever its schedule."""
    source: language.Audience
    needs: tuple[int, ...] = ()
    """Indexes of the audiences that the rule asks about, and of those that theirs do."""
    dependents: tuple[int, ...] = ()
    """Indexes of the audiences whose rules ask about this one."""
    schedule: ComputeInstants | None = None
    """Of a batch audience."""
    published_ms: int = 0
    """When this version was published."""
    leaves: tuple[tuple[int | None, CompiledRule], ...] = ()
    """The rule's conditions as they run, from left to right, for ``rules.explain.explain``: (key in
    ``ProjectRules.conditions``, None for those that read the row alone; node)."""

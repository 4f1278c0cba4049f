"""One audience: as it was published, and as it runs."""

from __future__ import annotations

from dataclasses import dataclass

from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.model.keys import history_scope
from rules.time.schedules import ComputeInstants


@dataclass(frozen=True, slots=True)
class PublishedAudience:
    """A definition with the version under which it was published; a deleted one keeps its name."""

    audience: language.Audience
    version: int
    deleted: bool = False
    created_ms: int = 0
    """When this version was published: the compute instant of a batch audience with ``schedule: once``."""
    by: str = ""
    """Who published it: the name of an API key, or of the account that ran a command; empty: not known."""
    rebuild: bool = False
    """It has the definition of the version before and asks that this be computed anew from the history."""
    goes_on_from: int = 0
    """It takes back the versions after this one, which decides, as if nobody had published them; 0: none."""
    computed: language.Audience | None = None
    """The definition of the version whose computation this one goes on from; None: it has its own."""

    @property
    def scope(self) -> str:
        """Of its conditions' keys (``rules.model.keys.history_scope``)."""
        return history_scope(self.computed or self.audience)


@dataclass(frozen=True, slots=True)
class CompiledAudience:
    """A definition, ready to decide, and its place among the project's audiences."""

    index: int
    """Position in ``ProjectRules.audiences``: after those that the rule asks about, otherwise by id."""
    key: int
    project: str
    id: str
    name: str
    version: int
    decided: CompiledRule
    """Who is in; of a batch audience, by its schedule."""
    rule: CompiledRule
    """Its rule; of a batch audience, whatever its schedule."""
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

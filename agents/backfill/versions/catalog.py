"""Every version of every audience, and the rules of those that are in force in a partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agents.registry.audiences_together import compile_usable
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.model.computation import same_computation

Active = Mapping[str, int]
"""Version per audience, by ``project/id``."""
RULE_SETS = 8
"""How many compiled rule sets are kept: partitions are at the same versions but for some moments."""


class VersionMissing(Exception):
    """A version that decides in a partition is not on the topic of definitions any more."""


@dataclass(slots=True)
class Catalog:
    """``versions``: by ``project/id``, then by version. ``wanted``: the versions that are to be in force."""

    versions: Mapping[str, Mapping[int, PublishedAudience]]
    wanted: Active
    released: frozenset[tuple[str, int]] = frozenset()
    """Versions whose changes may come out, however many members they move."""
    max_samples: int = 1000
    _rules: dict[frozenset[tuple[str, int]], RuleSet] = field(default_factory=dict)

    def published(self, audience: str, version: int) -> PublishedAudience:
        """A version of an audience (``project/id``). Raises VersionMissing."""
        found = self.versions.get(audience, {}).get(version)
        if found is None:
            raise VersionMissing(
                f"version {version} of audience {audience} decides in a partition, and the definitions topic "
                "does not hold it any more: publish it again with `turnstile audiences apply`"
            )
        return self._as_computed(audience, found)

    def rules(self, active: Active) -> RuleSet:
        """The rules of these versions, those set aside that can't run beside one another. Raises
        VersionMissing."""
        name = frozenset(active.items())
        found = self._rules.pop(name, None)
        if found is None:
            bodies = {each.encode(): self.published(each, version) for each, version in active.items()}
            found, _ = compile_usable(bodies, self.max_samples)
        self._rules[name] = found
        while len(self._rules) > RULE_SETS:
            del self._rules[next(iter(self._rules))]
        return found

    def rules_of(self, audiences: Iterable[str], active: Active) -> RuleSet:
        """The rules of some of these versions alone."""
        return compile_rules([self.published(each, active[each]) for each in audiences], self.max_samples)

    def between(self, audience: str, before: int, after: int) -> list[PublishedAudience]:
        """The versions above ``before``, up to ``after``, without those that were taken back."""
        known = self.versions.get(audience, {})
        found: list[PublishedAudience] = []
        for each in sorted(known, reverse=True):
            if before < each <= after:
                found.append(known[each])
                after = known[each].goes_on_from or after
        return found[::-1]

    def _as_computed(self, audience: str, found: PublishedAudience) -> PublishedAudience:
        """While only its name and the like change, a version goes on with what an earlier one computed: that
        says how much history its states know, and when an audience is computed that is computed once."""
        if found.deleted or found.rebuild:
            return found
        first = found
        for earlier in reversed(self.between(audience, 0, found.version)[:-1]):
            if earlier.deleted or not same_computation(earlier.audience, found.audience):
                break
            first = earlier
            if earlier.rebuild:
                break
        once = found.audience.schedule is not None and found.audience.schedule.kind == "once"
        created_ms = first.created_ms if once else found.created_ms
        return replace(found, computed=first.audience, created_ms=created_ms)

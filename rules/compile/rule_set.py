"""All projects' rules, compiled from the definitions in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from rules.compile.audience import PublishedAudience
from rules.compile.project import compile_project
from rules.compile.project_rules import NO_RULES, ProjectRules


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All projects' rules. ``fingerprint`` is the same wherever the same definitions are published."""

    projects: Mapping[str, ProjectRules]
    fingerprint: str = ""
    published_ms: int = 0
    """When the latest of them was published."""

    def project(self, name: str) -> ProjectRules:
        return self.projects.get(name, NO_RULES)


EMPTY = RuleSet(projects={})


def compile_rules(published: Iterable[PublishedAudience], max_samples: int = 1000) -> RuleSet:
    """Compile every definition, one ``ProjectRules`` per project."""
    by_project: dict[str, list[PublishedAudience]] = {}
    everything = sorted(published, key=lambda each: (each.audience.project, each.audience.id))
    for each in everything:
        by_project.setdefault(each.audience.project, []).append(each)
    names = [
        f"{each.audience.project}/{each.audience.id}@{each.version}{'-' if each.deleted else ''}"
        for each in everything
    ]
    return RuleSet(
        projects={name: compile_project(name, each, max_samples) for name, each in by_project.items()},
        fingerprint=blake2b(";".join(names).encode(), digest_size=8).hexdigest() if names else "",
        published_ms=max((each.created_ms for each in everything), default=0),
    )

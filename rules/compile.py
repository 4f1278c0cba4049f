"""From definitions to closures: what the decider looks up per record (``rules.decide``).

Conditions are shared: equal conditions of different audiences are one condition with one state, found
by their canonical key. Event conditions are indexed by event name, attribute conditions by attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from rules import model
from rules.canonical import audience_key
from rules.condition import Condition
from rules.conditions import build_condition
from rules.event_index import NO_EVENTS, EventIndex, event_index
from rules.operators import compile_predicate
from rules.row import Row
from rules.truth import Change, Node, Truth, condition_node, never, rule_node


@dataclass(frozen=True, slots=True)
class PublishedAudience:
    """A definition with the version under which it was published; a deleted one keeps its name."""

    audience: model.Audience
    version: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CompiledAudience:
    index: int
    """Position in ``ProjectRules.audiences``: after those that the rule asks about, else by id."""
    key: int
    project: str
    id: str
    name: str
    version: int
    truth: Truth
    change: Change
    needs: tuple[int, ...] = ()
    """Indexes of the audiences that the rule asks about, and of those that theirs do."""
    dependents: tuple[int, ...] = ()
    """Indexes of the audiences whose rules ask about this one."""


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The audiences of one project, ready to decide."""

    audiences: tuple[CompiledAudience, ...] = ()
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    timed: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Per key of a condition that changes by time, the audiences that read it."""
    by_event: Mapping[str, EventIndex] = field(default_factory=dict)
    any_event: EventIndex = NO_EVENTS
    by_attribute: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Root name of an attribute to the indexes of the audiences that read it."""
    initial: tuple[int, ...] = ()
    """Audiences whose rule holds for a user of whom nothing is known yet."""
    is_nested: bool = False
    """Some audience's rule asks about another audience."""
    by_key: Mapping[int, CompiledAudience] = field(default_factory=dict)
    gone: Mapping[int, PublishedAudience] = field(default_factory=dict)
    """Deleted audiences by key: rows may still have members of them."""

    def by_id(self, audience_id: str) -> CompiledAudience | None:
        for audience in self.audiences:
            if audience.id == audience_id:
                return audience
        return None


NO_RULES = ProjectRules()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All projects' rules. ``fingerprint`` is the same wherever the same definitions are published."""

    projects: Mapping[str, ProjectRules]
    fingerprint: str = ""

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
        projects={name: _compile_project(name, each, max_samples) for name, each in by_project.items()},
        fingerprint=blake2b(";".join(names).encode(), digest_size=8).hexdigest() if names else "",
    )


def _compile_project(project: str, published: list[PublishedAudience], max_samples: int) -> ProjectRules:
    shared: dict[int, Condition] = {}
    used_by: dict[int, set[int]] = {}
    readers: dict[str, set[int]] = {}
    audiences: list[CompiledAudience] = []
    for index, each in enumerate(each for each in published if not each.deleted):
        source = each.audience

        def leaf(condition: model.Condition, index: int = index) -> Node:
            if isinstance(condition, model.EventCondition):
                built = build_condition(project, condition, max_samples)
                built = shared.setdefault(built.key, built)
                used_by.setdefault(built.key, set()).add(index)
                return condition_node(built)
            for root in attribute_roots(condition.test):
                readers.setdefault(root, set()).add(index)
            test = compile_predicate(condition.test)
            return Node(lambda row, at_ms: test(row.attributes), never)

        node = rule_node(source.rule, leaf)
        audiences.append(
            CompiledAudience(
                index=index,
                key=audience_key(project, source.id),
                project=project,
                id=source.id,
                name=source.name,
                version=each.version,
                truth=node.truth,
                change=node.change,
            )
        )
    for key, indexes in used_by.items():
        shared[key].audiences = tuple(sorted(indexes))
    observers = {key: condition.observer() for key, condition in shared.items()}
    names = {name for condition in shared.values() for name in condition.names} - {model.ANY_EVENT}
    unknown = Row(now_ms=0)
    return ProjectRules(
        audiences=tuple(audiences),
        conditions=shared,
        timed={key: each.audiences for key, each in shared.items() if each.flips},
        by_event={name: event_index(shared.values(), observers, name) for name in names},
        any_event=event_index(shared.values(), observers, model.ANY_EVENT),
        by_attribute={root: tuple(sorted(indexes)) for root, indexes in readers.items()},
        initial=tuple(each.index for each in audiences if each.truth(unknown, 0)),
        by_key={each.key: each for each in audiences},
        gone={audience_key(project, each.audience.id): each for each in published if each.deleted},
    )


def attribute_roots(predicate: model.Predicate) -> set[str]:
    """The attributes that a predicate reads."""
    if isinstance(predicate, model.Test):
        return {predicate.path[0]}
    if isinstance(predicate, model.NotTest):
        return attribute_roots(predicate.part)
    return set().union(*(attribute_roots(part) for part in predicate.parts))

"""From definitions to closures: what the decider looks up per record (``rules.decide``).

Conditions are shared: equal conditions of different audiences are one condition with one state, found
by their canonical key. Event conditions are indexed by event name, attribute conditions by attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from rules import model
from rules.canonical import audience_key
from rules.condition import Condition, Observe, State
from rules.conditions import build_condition
from rules.operators import compile_predicate
from rules.row import Row

Truth: TypeAlias = Callable[[Row, int], bool]
"""The value of a rule for a row at an instant (ms)."""


@dataclass(frozen=True, slots=True)
class PublishedAudience:
    """A definition with the version under which it was published; a deleted one keeps its name."""

    audience: model.Audience
    version: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CompiledAudience:
    index: int
    """Position in ``ProjectRules.audiences``, which is ordered by id."""
    key: int
    project: str
    id: str
    name: str
    version: int
    truth: Truth
    conditions: tuple[Condition, ...]


Flips: TypeAlias = tuple[Callable[[State, int], int | None], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class EventIndex:
    """Who takes the events of one name: always, or where a property has one of the texts they ask for."""

    conditions: tuple[Condition, ...]
    always: tuple[Observe, ...]
    by_value: tuple[tuple[str, Mapping[str, tuple[Observe, ...]]], ...]


NO_EVENTS = EventIndex((), (), ())


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The audiences of one project, ready to decide."""

    audiences: tuple[CompiledAudience, ...] = ()
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    flips: Mapping[int, Flips] = field(default_factory=dict)
    """Per key of a condition that changes by time: its ``next_flip``, and the audiences that read it."""
    by_event: Mapping[str, EventIndex] = field(default_factory=dict)
    any_event: EventIndex = NO_EVENTS
    by_attribute: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Root name of an attribute to the indexes of the audiences that read it."""
    initial: tuple[int, ...] = ()
    """Audiences whose rule holds for a user of whom nothing is known yet."""
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
    gone: dict[int, PublishedAudience] = {}
    for each in published:
        source = each.audience
        if each.deleted:
            gone[audience_key(project, source.id)] = each
            continue
        index = len(audiences)
        mine: dict[int, Condition] = {}
        for leaf in model.conditions(source.rule):
            if isinstance(leaf, model.EventCondition):
                condition = build_condition(project, leaf, max_samples)
                condition = shared.setdefault(condition.key, condition)
                mine[condition.key] = condition
                used_by.setdefault(condition.key, set()).add(index)
            else:
                for root in attribute_roots(leaf.test):
                    readers.setdefault(root, set()).add(index)
        audiences.append(
            CompiledAudience(
                index=index,
                key=audience_key(project, source.id),
                project=project,
                id=source.id,
                name=source.name,
                version=each.version,
                truth=_truth(project, source.rule, shared, max_samples),
                conditions=tuple(mine.values()),
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
        flips={
            key: (condition.next_flip, condition.audiences)
            for key, condition in shared.items()
            if type(condition).next_flip is not Condition.next_flip
        },
        by_event={name: _event_index(shared.values(), observers, name) for name in names},
        any_event=_event_index(shared.values(), observers, model.ANY_EVENT),
        by_attribute={root: tuple(sorted(indexes)) for root, indexes in readers.items()},
        initial=tuple(each.index for each in audiences if each.truth(unknown, 0)),
        by_key={each.key: each for each in audiences},
        gone=gone,
    )


def _event_index(conditions: Iterable[Condition], observers: Mapping[int, Observe], name: str) -> EventIndex:
    mine = tuple(each for each in conditions if name in each.names or model.ANY_EVENT in each.names)
    always: list[Observe] = []
    by_value: dict[str, dict[str, list[Observe]]] = {}
    for each in mine:
        wanted = wanted_text(each.source.where)
        if wanted is None:
            always.append(observers[each.key])
            continue
        attribute, texts = wanted
        for text in texts:
            by_value.setdefault(attribute, {}).setdefault(text, []).append(observers[each.key])
    return EventIndex(
        mine,
        tuple(always),
        tuple(
            (attribute, {text: tuple(found) for text, found in texts.items()})
            for attribute, texts in by_value.items()
        ),
    )


def wanted_text(predicate: model.Predicate | None) -> tuple[str, frozenset[str]] | None:
    """A property that must equal one of these texts for the predicate to hold; None: there is none such."""
    if isinstance(predicate, model.AllTests):
        return next((found for part in predicate.parts if (found := wanted_text(part)) is not None), None)
    if not isinstance(predicate, model.Test) or len(predicate.path) > 1:
        return None
    operand = predicate.operand
    if predicate.operator == "eq" and isinstance(operand, str):
        return predicate.path[0], frozenset((operand,))
    if (
        predicate.operator == "in"
        and isinstance(operand, tuple)
        and all(isinstance(each, str) for each in operand)
    ):
        return predicate.path[0], frozenset(map(str, operand))
    return None


def attribute_roots(predicate: model.Predicate) -> set[str]:
    """The attributes that a predicate reads."""
    if isinstance(predicate, model.Test):
        return {predicate.path[0]}
    if isinstance(predicate, model.NotTest):
        return attribute_roots(predicate.part)
    return set().union(*(attribute_roots(part) for part in predicate.parts))


def _truth(project: str, rule: model.Rule, shared: dict[int, Condition], max_samples: int) -> Truth:
    if isinstance(rule, model.EventCondition):
        key = build_condition(project, rule, max_samples).key
        value = shared[key].value
        return lambda row, at_ms: value(row.conditions.get(key), at_ms)
    if isinstance(rule, model.AttributeCondition):
        test = compile_predicate(rule.test)
        return lambda row, at_ms: test(row.attributes)
    if isinstance(rule, model.Not):
        part = _truth(project, rule.part, shared, max_samples)
        return lambda row, at_ms: not part(row, at_ms)
    parts = tuple(_truth(project, each, shared, max_samples) for each in rule.parts)
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        if isinstance(rule, model.All):
            return lambda row, at_ms: first(row, at_ms) and second(row, at_ms)
        return lambda row, at_ms: first(row, at_ms) or second(row, at_ms)
    if isinstance(rule, model.All):

        def every(row: Row, at_ms: int) -> bool:
            for each in parts:  # noqa: SIM110 - all() with a generator takes twice the time
                if not each(row, at_ms):
                    return False
            return True

        return every

    def some(row: Row, at_ms: int) -> bool:
        for each in parts:  # noqa: SIM110
            if each(row, at_ms):
                return True
        return False

    return some

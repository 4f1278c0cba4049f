"""From one project's definitions to its rules: conditions shared, and who must look when something changes.

Conditions are shared: equal conditions of different audiences are one condition with one state, found
by their canonical key. Event conditions are indexed by event name, attribute conditions by attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rules.compile.audience import CompiledAudience, PublishedAudience
from rules.compile.by_time import BatchGroup, ByTime
from rules.compile.event_index import event_index
from rules.compile.order import all_asked_about, asked_about, in_order
from rules.compile.project_rules import ProjectRules
from rules.compile.readers import Readers, anchors_of, readers_of
from rules.conditions.attributes import attribute_roots, watched_paths
from rules.conditions.batch import BatchTruth, build_batch_condition
from rules.conditions.build import build_condition, compile_row_condition
from rules.conditions.nested import MembershipRule
from rules.conditions.truth import CompiledRule, StateRule, compile_rule
from rules.model import language
from rules.model.keys import audience_key, condition_key, schedule_scope
from rules.predicates.paths import prefixes_of
from rules.state.condition import AnyCondition
from rules.state.profile_update import Watched
from rules.state.row import Row
from rules.time.calendar import calendar_of
from rules.time.schedules import ComputeInstants, build_schedule


def compile_project(name: str, published: Iterable[PublishedAudience], max_samples: int) -> ProjectRules:
    """The rules of the project ``name``; ``max_samples`` as in ``build_condition``."""
    listed = list(published)
    project = _Project(name, in_order([each for each in listed if not each.deleted]), max_samples)
    asked = asked_about(project.published)
    audiences = tuple([project.audience(index, asked) for index in range(len(project.published))])
    conditions, read_by = project.conditions, project.read_by
    anchors = [_anchors(each) for each in audiences]
    popularity = {key: len(indexes) for key, indexes in read_by.conditions.items()}

    def readers(indexes: Collection[int], own: int | None = None) -> Readers:
        return readers_of(indexes, anchors, popularity, own)

    by_condition = {key: readers(indexes, key) for key, indexes in read_by.conditions.items()}
    names = {event for condition in conditions.values() for event in condition.names} - {language.ANY_EVENT}
    return ProjectRules(
        audiences=audiences,
        conditions=conditions,
        readers=by_condition,
        by_time=ByTime(
            {key: by_condition[key] for key, each in conditions.items() if project.is_timed(each)},
            {root: readers(indexes) for root, indexes in read_by.timed_attributes.items()},
            {key: _sorted(indexes) for key, indexes in read_by.timed_members.items()},
            tuple([_batch_group(project, each, audiences, anchors, readers) for each in project.groups()]),
        ),
        by_event={event: event_index(conditions.values(), event) for event in names},
        any_event=event_index(conditions.values(), language.ANY_EVENT),
        by_attribute={root: readers(indexes) for root, indexes in read_by.attributes.items()},
        watched=_by_root(read_by.watched),
        batch_audiences=_sorted(project.schedules),
        twins=project.twins,
        initial=_holding_without_facts(audiences),
        is_nested=any(asked),
        by_key={each.key: each for each in audiences},
        gone={audience_key(name, each.audience.id): each for each in listed if each.deleted},
    )


@dataclass(slots=True)
class _ReadBy:
    """The audiences, by index, that read something of a row."""

    conditions: dict[int, set[int]] = field(default_factory=dict)
    """Per key of a condition with a state."""
    attributes: dict[str, set[int]] = field(default_factory=dict)
    """Per root name of an attribute."""
    timed_attributes: dict[str, set[int]] = field(default_factory=dict)
    """Per root name of an attribute: time alone may change the audience while the attribute stays."""
    timed_members: dict[int, set[int]] = field(default_factory=dict)
    """Per key of an audience: time alone may change the audience while that membership stays."""
    watched: set[language.Path] = field(default_factory=set)
    """Paths deep in attributes whose changes somebody asks about."""


class _Project:
    """One project's conditions in the making."""

    def __init__(self, name: str, published: list[PublishedAudience], max_samples: int) -> None:
        self.name = name
        self.published = published
        self.max_samples = max_samples
        self.conditions: dict[int, AnyCondition] = {}
        self.twins: dict[int, int] = {}
        self.read_by = _ReadBy()
        self.schedules: dict[int, ComputeInstants] = {}
        """Of the batch audiences, by index."""

    def audience(self, index: int, asked: list[set[int]]) -> CompiledAudience:
        """Compile an audience; ``asked``: the indexes of those that each one asks about."""
        published = self.published[index]
        source = published.audience
        key = audience_key(self.name, source.id)
        leaves: list[tuple[int | None, CompiledRule]] = []

        def leaf(condition: language.Condition) -> CompiledRule:
            made = self._leaf(index, source, condition)
            leaves.append(made)
            return made[1]

        if source.schedule is not None:
            calendar = calendar_of(source.timezone)
            self.schedules[index] = build_schedule(source.schedule, calendar, published.created_ms)
        rule = compile_rule(source.rule, leaf)
        schedule = self.schedules.get(index)
        decided = rule if schedule is None else BatchTruth(key, rule, schedule)
        return CompiledAudience(
            index=index,
            key=key,
            project=self.name,
            id=source.id,
            name=source.name,
            version=published.version,
            decided=decided,
            rule=rule,
            source=source,
            needs=_sorted(all_asked_about(asked, index)),
            dependents=tuple(each for each, others in enumerate(asked) if index in others),
            schedule=schedule,
            published_ms=published.created_ms,
            leaves=tuple(leaves),
        )

    def is_timed(self, condition: AnyCondition) -> bool:
        """Whether time alone changes it at other instants than compute instants."""
        return condition.has_timers and condition.key not in self.twins

    def groups(self) -> list[list[int]]:
        """The batch audiences that have the same compute instants, together."""
        found: dict[str, list[int]] = {}
        for index in self.schedules:
            published = self.published[index]
            schedule = published.audience.schedule
            once = schedule is not None and schedule.kind == "once"
            instants = str(published.created_ms) if once else schedule_scope(published.audience)
            found.setdefault(instants, []).append(index)
        return list(found.values())

    def _leaf(
        self, index: int, source: language.Audience, condition: language.Condition
    ) -> tuple[int | None, CompiledRule]:
        """The key and rule of a condition; notes who must look when what it reads changes."""
        if isinstance(condition, language.StateCondition):
            built = self._condition(index, source, condition)
            self.read_by.conditions.setdefault(built.key, set()).add(index)
            return built.key, StateRule(built)
        rule = compile_row_condition(self.name, condition, source.timezone)
        is_batch, read_by = index in self.schedules, self.read_by
        if isinstance(rule, MembershipRule):
            if rule.for_ms and not is_batch:
                read_by.timed_members.setdefault(rule.audience, set()).add(index)
            return None, rule
        assert isinstance(condition, language.AttributeCondition)
        read_by.watched |= watched_paths(condition.test)
        for root in attribute_roots(condition.test):
            read_by.attributes.setdefault(root, set()).add(index)
            if rule.changes and not is_batch:
                read_by.timed_attributes.setdefault(root, set()).add(index)
        return None, rule

    def _condition(
        self, index: int, source: language.Audience, condition: language.StateCondition
    ) -> AnyCondition:
        """The condition that all share whose key is the same."""
        schedule, history = self.schedules.get(index), self.published[index].scope
        zone = source.timezone
        if schedule is None:
            built = build_condition(self.name, condition, self.max_samples, zone, history=history)
        else:
            built = build_batch_condition(self.name, condition, self.max_samples, source, schedule, history)
            self.twins[built.key] = condition_key(self.name, condition, zone, history=history)
        return self.conditions.setdefault(built.key, built)


def _batch_group(
    project: _Project,
    indexes: list[int],
    audiences: tuple[CompiledAudience, ...],
    anchors: list[frozenset[int]],
    readers: Callable[[Collection[int]], Readers],
) -> BatchGroup:
    members: Mapping[int, int] = {audiences[index].key: index for index in indexes if anchors[index]}
    return BatchGroup(project.schedules[indexes[0]], readers(indexes), members)


def _anchors(audience: CompiledAudience) -> frozenset[int]:
    """The conditions without whose state the audience's rule can't hold."""
    unknown = Row(now_ms=0)
    leaves = (
        frozenset((key,)) if key is not None and not compiled.truth(unknown, 0) else frozenset[int]()
        for key, compiled in audience.leaves
    )
    return anchors_of(audience.source.rule, leaves)


def _holding_without_facts(audiences: Iterable[CompiledAudience]) -> tuple[int, ...]:
    """Those whose rule holds for a user of whom nothing is known; batch ones may, at a compute instant."""
    unknown = Row(now_ms=0)
    return tuple(
        [each.index for each in audiences if each.schedule is not None or each.decided.truth(unknown, 0)]
    )


def _by_root(paths: Collection[language.Path]) -> Watched:
    """The paths per name of an attribute that may lead to them."""
    found: dict[str, list[language.Path]] = {}
    for path in sorted(paths):
        for root in prefixes_of(path):
            found.setdefault(root, []).append(path)
    return {root: tuple(each) for root, each in found.items()}


def _sorted(indexes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(indexes))

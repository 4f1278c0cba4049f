"""From definitions to closures: what the decider looks up per record (``rules.decide.decide``).

Conditions are shared: equal conditions of different audiences are one condition with one state, found
by their canonical key. Event conditions are indexed by event name, attribute conditions by attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from rules.compile.by_time import NOTHING_BY_TIME, BatchGroup, ByTime
from rules.compile.event_index import NO_EVENTS, EventIndex, event_index
from rules.compile.readers import Readers, anchors_of, readers_of
from rules.conditions.attributes import attribute_roots, watched_paths
from rules.conditions.batch import BatchTruth, build_batch_condition
from rules.conditions.build import build_condition, compile_row_condition
from rules.conditions.truth import CompiledRule, NextChange, Truth, compile_condition, compile_rule, never
from rules.model import language
from rules.model.canonical import audience_key, condition_key, schedule_scope
from rules.state.condition import AnyCondition
from rules.state.profile_update import Watched
from rules.state.row import Row
from rules.time.calendar import calendar_of
from rules.time.schedules import ComputeInstants, build_schedule


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


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The audiences of one project, ready to decide."""

    audiences: tuple[CompiledAudience, ...] = ()
    conditions: Mapping[int, AnyCondition] = field(default_factory=dict)
    readers: Mapping[int, Readers] = field(default_factory=dict)
    """Per key of a condition."""
    by_time: ByTime = NOTHING_BY_TIME
    by_event: Mapping[str, EventIndex] = field(default_factory=dict)
    any_event: EventIndex = NO_EVENTS
    by_attribute: Mapping[str, Readers] = field(default_factory=dict)
    """Per root name of an attribute."""
    watched: Watched = field(default_factory=dict)
    """Paths deep in attributes, per root name, whose changes are noted."""
    batch_audiences: tuple[int, ...] = ()
    """Indexes of the batch audiences."""
    twins: Mapping[int, int] = field(default_factory=dict)
    """Of conditions of batch audiences, by key: the key of the same condition of a realtime one."""
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
        projects={name: _Project(name, each, max_samples).rules() for name, each in by_project.items()},
        fingerprint=blake2b(";".join(names).encode(), digest_size=8).hexdigest() if names else "",
        published_ms=max((each.created_ms for each in everything), default=0),
    )


class _Project:
    """One project's rules in the making."""

    def __init__(self, name: str, published: list[PublishedAudience], max_samples: int) -> None:
        self.name = name
        self.max_samples = max_samples
        self.published = _in_order([each for each in published if not each.deleted])
        self.gone = {audience_key(name, each.audience.id): each for each in published if each.deleted}
        self.shared: dict[int, AnyCondition] = {}
        self.readers: dict[int, set[int]] = {}
        self.by_attribute: dict[str, set[int]] = {}
        self.timed_attributes: dict[str, set[int]] = {}
        self.timed_members: dict[int, set[int]] = {}
        self.twins: dict[int, int] = {}
        self.watched: set[language.Path] = set()
        self.schedules: dict[int, ComputeInstants] = {}
        self.together: dict[str, list[int]] = {}
        """The batch audiences that have the same compute instants."""

    def rules(self) -> ProjectRules:
        indexes = {each.audience.id: index for index, each in enumerate(self.published)}
        asked = [
            {indexes[each] for each in language.references(published.audience.rule) if each in indexes}
            for published in self.published
        ]
        audiences = [self._audience(index, asked) for index in range(len(self.published))]
        conditions = self.shared.values()
        anchors = [_anchors(each) for each in audiences]
        counts = {key: len(reading) for key, reading in self.readers.items()}
        readers = {key: readers_of(each, anchors, counts, key) for key, each in self.readers.items()}
        names = {name for condition in conditions for name in condition.names} - {language.ANY_EVENT}
        unknown = Row(now_ms=0)
        return ProjectRules(
            audiences=tuple(audiences),
            conditions=self.shared,
            readers=readers,
            by_time=ByTime(
                {
                    key: readers[key]
                    for key, each in self.shared.items()
                    if each.has_timers and key not in self.twins
                },
                {name: readers_of(each, anchors, counts) for name, each in self.timed_attributes.items()},
                {key: _sorted(each) for key, each in self.timed_members.items()},
                tuple(
                    BatchGroup(
                        self.schedules[together[0]],
                        readers_of(together, anchors, counts),
                        {audiences[index].key: index for index in together if anchors[index]},
                    )
                    for together in self.together.values()
                ),
            ),
            by_event={name: event_index(conditions, name) for name in names},
            any_event=event_index(conditions, language.ANY_EVENT),
            by_attribute={
                name: readers_of(each, anchors, counts) for name, each in self.by_attribute.items()
            },
            watched={
                root: tuple(sorted(path for path in self.watched if path[0] == root))
                for root in {path[0] for path in self.watched}
            },
            batch_audiences=_sorted(self.schedules),
            twins=self.twins,
            initial=tuple(
                each.index for each in audiences if each.index in self.schedules or each.truth(unknown, 0)
            ),
            is_nested=any(asked),
            by_key={each.key: each for each in audiences},
            gone=self.gone,
        )

    def _audience(self, index: int, asked: list[set[int]]) -> CompiledAudience:
        published = self.published[index]
        source = published.audience
        leaves: list[tuple[int | None, CompiledRule]] = []

        def leaf(condition: language.Condition) -> CompiledRule:
            made = self._leaf(index, source, condition)
            leaves.append(made)
            return made[1]

        key = audience_key(self.name, source.id)
        if source.schedule is not None:
            calendar = calendar_of(source.timezone)
            schedule = build_schedule(source.schedule, calendar, published.created_ms)
            self.schedules[index] = schedule
            instants = str(published.created_ms) if source.schedule.kind == "once" else schedule_scope(source)
            self.together.setdefault(instants, []).append(index)
            rule = compile_rule(source.rule, leaf)
            node = BatchTruth(key, rule, schedule).compiled()
        else:
            node = rule = compile_rule(source.rule, leaf)
        needs, waiting = set[int](), [*asked[index]]
        while waiting:
            each = waiting.pop()
            needs.add(each)
            waiting += asked[each] - needs
        return CompiledAudience(
            index=index,
            key=key,
            project=self.name,
            id=source.id,
            name=source.name,
            version=published.version,
            truth=node.truth,
            change=node.change,
            rule=rule.truth,
            source=source,
            needs=_sorted(needs),
            dependents=tuple(each for each, others in enumerate(asked) if index in others),
            schedule=self.schedules.get(index),
            published_ms=published.created_ms,
            leaves=tuple(leaves),
        )

    def _leaf(
        self, index: int, source: language.Audience, condition: language.Condition
    ) -> tuple[int | None, CompiledRule]:
        """The key and node of a condition; notes who must look when what it reads changes."""
        if isinstance(condition, language.StateCondition):
            schedule = self.schedules.get(index)
            if schedule is None:
                built = build_condition(self.name, condition, self.max_samples, source.timezone)
            else:
                built = build_batch_condition(self.name, condition, self.max_samples, source, schedule)
                self.twins[built.key] = condition_key(self.name, condition, source.timezone)
            built = self.shared.setdefault(built.key, built)
            self.readers.setdefault(built.key, set()).add(index)
            return built.key, compile_condition(built)
        node = compile_row_condition(self.name, condition, source.timezone)
        if isinstance(condition, language.InAudience):
            if node.change is not never and index not in self.schedules:
                key = audience_key(self.name, condition.audience)
                self.timed_members.setdefault(key, set()).add(index)
            return None, node
        self.watched |= watched_paths(condition.test)
        for root in attribute_roots(condition.test):
            self.by_attribute.setdefault(root, set()).add(index)
            if node.change is not never and index not in self.schedules:
                self.timed_attributes.setdefault(root, set()).add(index)
        return None, node


def _anchors(audience: CompiledAudience) -> frozenset[int]:
    """The conditions without whose state the audience's rule can't hold."""
    unknown = Row(now_ms=0)
    leaves = (
        frozenset((key,)) if key is not None and not node.truth(unknown, 0) else frozenset[int]()
        for key, node in audience.leaves
    )
    return anchors_of(audience.source.rule, leaves)


def _sorted(indexes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(indexes))


def _in_order(published: list[PublishedAudience]) -> list[PublishedAudience]:
    """Each after those that its rule asks about; by id where that leaves a choice."""
    by_id = {each.audience.id: each for each in published}
    asked = {
        name: [
            each for each in dict.fromkeys(language.references(by_id[name].audience.rule)) if each in by_id
        ]
        for name in sorted(by_id)
    }
    levels: dict[str, int] = {}
    for start in asked:
        waiting = [start]  # no recursion: a chain of references may be as long as there are audiences
        while waiting:
            name = waiting[-1]
            fresh = [] if name in levels else [each for each in asked[name] if each not in levels]
            levels.setdefault(name, 0)  # what was published in a circle, against all checks, ends here
            if fresh:
                waiting += fresh
                continue
            waiting.pop()
            levels[name] = 1 + max((levels[each] for each in asked[name]), default=0)
    return sorted(published, key=lambda each: (levels[each.audience.id], each.audience.id))

"""Compiled rules as data, for an engine that isn't Python: what ``core/src/spec.rs`` reads.

Nodes of the language are objects with the name of their class under ``is`` and their fields; the rest is what
``rules.compile.project`` found out, by keys and indexes. The native engine refuses what it doesn't know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from rules.compile.audience import CompiledAudience
from rules.compile.by_time import BatchGroup
from rules.compile.destination import CompiledDestination
from rules.compile.event_index import EventIndex
from rules.compile.project_rules import ProjectRules
from rules.compile.readers import Readers
from rules.compile.rule_set import RuleSet
from rules.compile.tables import case_folds, zone_table
from rules.conditions.batch import BatchCondition
from rules.model import language
from rules.model.points import in_whole_numbers
from rules.predicates.compiled import is_dated
from rules.predicates.operators import FOLDING
from rules.state.condition import AnyCondition
from rules.time.cron import read_cron


def spec_of(rules: RuleSet) -> bytes:
    """All projects' rules, and the tables that they need, as JSON."""
    projects = {name: _project(each) for name, each in sorted(rules.projects.items())}
    audiences = [audience.source for each in rules.projects.values() for audience in each.audiences]
    tested = [*(each.rule for each in audiences), *_patterns(rules)]
    folds = case_folds() if any(map(_asks_for_folding, tested)) else {}
    zones = {zone: zone_table(zone) for zone in sorted({each.timezone for each in audiences})}
    whole = {"projects": projects, "zones": zones, "folds": folds}
    try:
        return msgspec.json.encode(whole)
    except UnicodeEncodeError:  # a lone surrogate: written as what the native engine refuses
        return json.dumps(whole).encode()


def _patterns(rules: RuleSet) -> Iterator[language.EventPattern]:
    """Of the destinations that get events."""
    for project in rules.projects.values():
        for destination in project.destinations:
            for way in destination.ways:
                yield from (each.source for each in way.patterns)


def _asks_for_folding(tested: Any) -> bool:
    return any(test.operator in FOLDING for test in _tests_of(tested))


def _tests_of(value: Any) -> Iterator[language.Test]:
    """The tests in a node of the language, wherever they stand."""
    if isinstance(value, language.Test):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _tests_of(getattr(value, each.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _tests_of(each)


def _project(rules: ProjectRules) -> dict[str, Any]:
    zones = {
        key: audience.source.timezone
        for audience in rules.audiences
        for key, _ in audience.leaves
        if key is not None
    }
    schedules = {
        key: audience.index
        for audience in rules.audiences
        if audience.schedule is not None
        for key, _ in audience.leaves
        if key is not None
    }
    by_time = rules.by_time
    return {
        "conditions": [
            {
                "key": key,
                "max_samples": each.max_samples,
                "zone": zones[key],
                "source": node(each.source),
                "is_dated": isinstance(each.source, language.EventCondition)
                and each.source.where is not None
                and is_dated(each.source.where),
                # Index of a batch audience with its schedule; its state is held between compute instants.
                "batch": schedules.get(key),
                "is_held": isinstance(each, BatchCondition),
            }
            for key, each in rules.conditions.items()
        ],
        "audiences": [_audience(each) for each in rules.audiences],
        "readers": _by_key(rules.readers),
        "by_event": [[name, _event_index(each)] for name, each in rules.by_event.items()],
        "any_event": _event_index(rules.any_event),
        "by_time": {
            "conditions": _by_key(by_time.conditions),
            "attributes": [[name, _readers(each)] for name, each in by_time.attributes.items()],
            "members": [[key, list(each)] for key, each in by_time.members.items()],
            "batch_groups": [_group(each, rules.audiences) for each in by_time.batch_groups],
        },
        "by_attribute": [[name, _readers(each)] for name, each in rules.by_attribute.items()],
        "watched": [[name, [list(path) for path in paths]] for name, paths in rules.watched.items()],
        "initial": list(rules.initial),
        "is_nested": rules.is_nested,
        "destinations": [_destination(each) for each in rules.destinations],
    }


def _audience(audience: CompiledAudience) -> dict[str, Any]:
    leaves = iter([key for key, _ in audience.leaves])
    return {
        "key": audience.key,
        "id": audience.id,
        "name": audience.name,
        "version": audience.version,
        "zone": audience.source.timezone,
        "rule": _rule(audience.source.rule, leaves),
        "needs": list(audience.needs),
        "dependents": list(audience.dependents),
        "schedule": None if audience.source.schedule is None else schedule_node(audience.source.schedule),
        "published_ms": audience.published_ms,
    }


def _rule(rule: language.Rule, leaves: Iterator[int | None]) -> dict[str, Any]:
    """The rule's tree; its conditions with a state are leaves that name it."""
    match rule:
        case language.All(parts=parts) | language.Any(parts=parts):
            return {"is": type(rule).__name__, "parts": [_rule(each, leaves) for each in parts]}
        case language.Not(part=part):
            return {"is": "Not", "part": _rule(part, leaves)}
        case language.AtLeast(n=n, parts=parts):
            return {"is": "AtLeast", "n": n, "parts": [_rule(each, leaves) for each in parts]}
        case language.Score(parts=scored, comparisons=comparisons):
            points, bounds = in_whole_numbers([each for _, each in scored], comparisons)
            parts_of = [
                {"when": _rule(each, leaves), "points": whole}
                for (each, _), whole in zip(scored, points, strict=True)
            ]
            return {"is": "Score", "parts": parts_of, "comparisons": node(bounds)}
        case _:
            key = next(leaves)
            return node(rule) if key is None else {"is": "State", "key": key}


def node(value: Any) -> Any:
    """A node of the language, or what its fields hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "is": type(value).__name__,
            **{each.name: node(getattr(value, each.name)) for each in fields(value)},
        }
    if isinstance(value, (tuple, list)):
        return [node(each) for each in value]
    if isinstance(value, Set):
        return sorted(map(node, value))
    if type(value) is int and not -(2**63) <= value < 2**63:
        return {"is": "LongNumber", "digits": str(value)}  # JSON readers round it
    return value


def schedule_node(schedule: language.Schedule) -> dict[str, Any]:
    """A schedule, of a cron expression with the days and times that it names."""
    table = node(read_cron(schedule.cron)) if schedule.kind == "cron" else None
    return {**node(schedule), "table": table}


def _by_key(readers: Mapping[int, Readers]) -> list[Any]:
    return [[key, _readers(each)] for key, each in readers.items()]


def _readers(readers: Readers) -> dict[str, Any]:
    return {
        "always": list(readers.always),
        "anchored": [[key, list(each)] for key, each in readers.anchored.items()],
    }


def _destination(destination: CompiledDestination) -> dict[str, Any]:
    return {
        "key": destination.key,
        "name": destination.name,
        "ways": [
            {
                "audience": None if way.audience is None else way.audience.index,
                "zone": way.zone,
                "patterns": [node(each.source) for each in way.patterns],
            }
            for way in destination.ways
        ],
    }


def _group(group: BatchGroup, audiences: Sequence[CompiledAudience]) -> dict[str, Any]:
    return {
        # Any audience of the group: its schedule is that of all.
        "audience": next(each.index for each in audiences if each.schedule is group.schedule),
        "readers": _readers(group.readers),
        "members": [[key, index] for key, index in group.members.items()],
    }


def _event_index(index: EventIndex) -> dict[str, Any]:
    """Keys of the conditions, in the order in which they take an event."""
    return {
        "always": _keys(index.always),
        "by_value": [
            [attribute, [[text, _keys(found)] for text, found in by_text.items()]]
            for attribute, by_text in index.by_value.items()
        ],
    }


def _keys(conditions: Iterable[AnyCondition]) -> list[int]:
    return [each.key for each in conditions]

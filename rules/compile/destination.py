"""Destinations that get events: which events of which users.

A rule is a filter here. An event goes to a destination if the user is in one of its audiences after the
event, and the event is one that this audience's rule asks for, or that the destination names itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rules.compile.audience import CompiledAudience
from rules.model import language
from rules.model.keys import destination_key
from rules.predicates.compiled import DatedCheck, compile_dated_predicate
from rules.state.row import Row
from rules.time.calendar import calendar_of

EVERY_EVENT = language.EventPattern((language.ANY_EVENT,), None)


@dataclass(frozen=True, slots=True)
class EventDestination:
    """A destination ``on: event``, as far as it says which events it gets."""

    project: str
    name: str
    audiences: frozenset[str] | None = None
    """Ids; None: whatever the user is in."""
    events: tuple[language.EventPattern, ...] = ()
    """Empty: those that the audiences' rules ask for."""


@dataclass(frozen=True, slots=True)
class CompiledPattern:
    """Which events match. ``check`` None: all of these names."""

    source: language.EventPattern
    check: DatedCheck | None

    def matches(self, name: str, properties: Mapping[str, object], event_ms: int) -> bool:
        names = self.source.names
        if name not in names and language.ANY_EVENT not in names:
            return False
        return self.check is None or self.check(properties, event_ms)


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which an event comes to a destination: it matches, and the user is in the audience."""

    audience: CompiledAudience | None
    """None: whatever the user is in."""
    zone: str
    patterns: tuple[CompiledPattern, ...]


@dataclass(frozen=True, slots=True)
class CompiledDestination:
    """One destination, ready to decide."""

    project: str
    name: str
    key: int
    """In rows: how many events it got of a user."""
    ways: tuple[Way, ...]
    """By the audiences' ids; the first that an event takes names its audience."""

    def way_of(self, row: Row, name: str, properties: Mapping[str, object], event_ms: int) -> Way | None:
        """How an event comes here; None: it doesn't. ``row`` is decided with the event."""
        for way in self.ways:
            if way.audience is not None and not row.is_in(way.audience.key):
                continue
            if any(each.matches(name, properties, event_ms) for each in way.patterns):
                return way
        return None


def compile_destination(
    wanted: EventDestination, audiences: Mapping[str, CompiledAudience]
) -> CompiledDestination:
    """``audiences``: those of its project, by id. One that isn't there has no members."""
    if wanted.audiences is None:
        ways = [_way(None, "UTC", wanted.events or (EVERY_EVENT,))]
    else:
        named = [audiences[each] for each in sorted(wanted.audiences) if each in audiences]
        ways = [
            _way(each, each.source.timezone, wanted.events or asked_for(each.source.rule)) for each in named
        ]
    key = destination_key(wanted.project, wanted.name)
    return CompiledDestination(wanted.project, wanted.name, key, tuple(ways))


def asked_for(rule: language.Rule) -> tuple[language.EventPattern, ...]:
    """The events that a rule asks for, outside of ``not``; every event, if it asks for none."""
    return tuple(dict.fromkeys(_asked_for(rule, True))) or (EVERY_EVENT,)


def _asked_for(rule: language.Rule, is_wanted: bool) -> Iterator[language.EventPattern]:
    match rule:
        case language.All(parts=parts) | language.Any(parts=parts) | language.AtLeast(parts=parts):
            for part in parts:
                yield from _asked_for(part, is_wanted)
        case language.Score(parts=scored):
            for part, _ in scored:
                yield from _asked_for(part, is_wanted)
        case language.Not(part=part):
            yield from _asked_for(part, not is_wanted)
        case language.EventCondition(names=names, where=where) if is_wanted:
            yield language.EventPattern(names, where)
        case language.Sequence(steps=steps) if is_wanted:
            for step in steps:
                yield _alone(step.event)
        case language.NotFollowed(event=event) if is_wanted:
            yield event


def _alone(event: language.EventPattern) -> language.EventPattern:
    """A step without its ``where``, if that compares with an earlier step's event, which isn't here."""
    compares = any(isinstance(test.operand, language.Ref) for test in language.tests_of(event.where))
    return language.EventPattern(event.names, None) if compares else event


def _way(audience: CompiledAudience | None, zone: str, patterns: tuple[language.EventPattern, ...]) -> Way:
    calendar = calendar_of(zone)
    compiled = [
        CompiledPattern(each, None if each.where is None else compile_dated_predicate(each.where, calendar))
        for each in patterns
    ]
    return Way(audience, zone, tuple(compiled))

"""The events and attributes that a rule speaks of, each with the part of the rule that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rules.model import language


@dataclass(frozen=True, slots=True)
class EventsAsked:
    """``part`` is the condition or pattern that names the events, ``tests`` are those of their properties,
    and ``property`` is what an aggregate is of."""

    part: language.EventCondition | language.EventPattern
    names: tuple[str, ...]
    tests: tuple[language.Test, ...]
    property: language.Path | None = None


def events_asked(rule: language.Rule) -> Iterator[EventsAsked]:
    for condition in language.conditions(rule):
        match condition:
            case language.EventCondition(names=names, where=where, aggregate=aggregate):
                tests = (*language.tests_of(where), *language.tests_of(aggregate.test))
                yield EventsAsked(condition, names, tests, aggregate.property)
            case language.Sequence(steps=steps, without=without):
                for pattern in (*(step.event for step in steps), *(() if without is None else (without,))):
                    yield _of_pattern(pattern)
            case language.NotFollowed(event=event, follower=follower):
                yield _of_pattern(event)
                yield _of_pattern(follower)


def attributes_asked(rule: language.Rule) -> Iterator[tuple[language.AttributeCondition, language.Test]]:
    for condition in language.conditions(rule):
        if isinstance(condition, language.AttributeCondition):
            for test in language.tests_of(condition.test):
                yield condition, test


def _of_pattern(pattern: language.EventPattern) -> EventsAsked:
    return EventsAsked(pattern, pattern.names, tuple(language.tests_of(pattern.where)))

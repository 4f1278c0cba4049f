"""The smallest parts of a rule that can never be true, or are always true, with what to say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rules.model import language
from rules.warn.reach import Reach
from rules.warn.terms import can_be


@dataclass(frozen=True, slots=True)
class Found:
    """``part`` is a part of the model; ``path`` the property's, where the part is one test."""

    part: object
    code: Literal["never_true", "always_true"]
    message: str


def never_and_always(rule: language.Rule, reach: Reach) -> Iterator[Found]:
    """From left to right. Of nested parts the smallest one is told, and not those around it."""
    inside: list[Found] = []
    for part in _parts(rule):
        inside += never_and_always(part, reach)
    for predicate in _predicates(rule):
        inside += _in_predicate(predicate)
    yield from inside
    if inside:
        return
    if not reach.rule(rule, True):
        yield Found(rule, "never_true", _why_never(rule, reach))
    elif not isinstance(rule, language.InAudience | language.Not) and not reach.rule(rule, False):
        yield Found(rule, "always_true", f"{_what(rule)} always true")


def _parts(rule: language.Rule) -> list[language.Rule]:
    match rule:
        case language.All(parts=parts) | language.Any(parts=parts) | language.AtLeast(parts=parts):
            return list(parts)
        case language.Score(parts=scored):
            return [part for part, _ in scored]
        case language.Not(part=part):
            return [part]
    return []


def _predicates(rule: language.Rule) -> list[language.Predicate]:
    match rule:
        case language.EventCondition(where=where, aggregate=aggregate):
            found = [where, aggregate.test]
        case language.Sequence(steps=steps, without=without):
            found = [*(step.event.where for step in steps), None if without is None else without.where]
        case language.NotFollowed(event=event, follower=follower):
            found = [event.where, follower.where]
        case language.AttributeCondition(test=test):
            found = [test]
        case _:
            found = []
    return [each for each in found if each is not None]


def _in_predicate(predicate: language.Predicate) -> Iterator[Found]:
    inside: list[Found] = []
    match predicate:
        case language.AllTests(parts=parts) | language.AnyTest(parts=parts):
            for each in parts:
                inside += _in_predicate(each)
        case language.NotTest(part=part):
            inside += _in_predicate(part)
    yield from inside
    if inside or can_be(predicate, True):
        return
    match predicate:
        case language.Test():
            yield Found(predicate, "never_true", f"no value of {_name(predicate)} makes this true")
        case _:
            names = sorted({_name(test) for test in language.tests_of(predicate)})
            of = names[0] if len(names) == 1 else "properties"
            yield Found(predicate, "never_true", f"these tests of {of} can't be true together")


def _name(test: language.Test) -> str:
    return f"'{'.'.join(test.path)}'"


def _what(rule: language.Rule) -> str:
    match rule:
        case language.EventCondition(aggregate=aggregate) if aggregate.comparisons:
            return f"this {aggregate.kind} is"
        case language.AttributeCondition():
            return "this attribute's test is"
    return "this is"


def _why_never(rule: language.Rule, reach: Reach) -> str:
    match rule:
        case language.InAudience(audience=audience):
            return f"nobody can be in audience '{audience}', so this is never true"
        case language.EventCondition(window=language.SinceEntry(audience=audience)) if not reach.audience(
            audience, True
        ):
            return f"nobody can be in audience '{audience}', so this is never true"
        case language.EventCondition(aggregate=aggregate) if aggregate.comparisons:
            return f"no {aggregate.kind} can be like this: it is never true"
        case language.EventCondition(aggregate=aggregate):
            return f"the {aggregate.kind} event that 'where' lets in never passes this test"
        case language.AttributeCondition():
            return "these tests of one attribute can't be true together"
        case language.Not():
            return "the part is always true, so this is never true"
    return "the parts can't be true together, so this is never true"

"""Conditions whose stored state follows the spelling of their rule, spelled one way.

Conditions with one key share one state, however their authors ordered what they ask for (``canonical``). What
a sequence stores of an event is a list in the order of its tests: so its tests are put in order first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from rules.model import language
from rules.model.canonical import FOLLOWED, predicate_bytes, step_numbers

_Pattern = TypeVar("_Pattern", language.Sequence, language.NotFollowed)


def spelled(source: _Pattern) -> _Pattern:
    """The same condition, the tests of each ``where`` in canonical order, without repetitions."""
    if isinstance(source, language.NotFollowed):
        event, follower = _pattern(source.event, {}), _pattern(source.follower, FOLLOWED)
        return replace(source, event=event, follower=follower)
    numbers = step_numbers(source)
    steps = tuple(replace(step, event=_pattern(step.event, numbers)) for step in source.steps)
    without = None if source.without is None else _pattern(source.without, {})
    return replace(source, steps=steps, without=without)


def _pattern(pattern: language.EventPattern, names: Mapping[str, str]) -> language.EventPattern:
    where = pattern.where
    return pattern if where is None else replace(pattern, where=_predicate(where, names))


def _predicate(node: language.Predicate, names: Mapping[str, str]) -> language.Predicate:
    match node:
        case language.Test():
            return node
        case language.Elements(test=test):
            return replace(node, test=_predicate(test, names))
        case language.NotTest(part=part):
            return language.NotTest(_predicate(part, names))
        case language.AllTests(parts=parts):
            return _together(language.AllTests, parts, names)
        case language.AnyTest(parts=parts):
            return _together(language.AnyTest, parts, names)


def _together(
    kind: type[language.AllTests] | type[language.AnyTest],
    parts: Iterable[language.Predicate],
    names: Mapping[str, str],
) -> language.Predicate:
    by_bytes = {predicate_bytes(part, names): part for part in _flat(parts, kind)}
    ordered = tuple(_predicate(by_bytes[each], names) for each in sorted(by_bytes))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def _flat(
    parts: Iterable[language.Predicate], kind: type[language.AllTests] | type[language.AnyTest]
) -> Iterator[language.Predicate]:
    for part in parts:
        if isinstance(part, kind):
            yield from _flat(part.parts, kind)
        else:
            yield part

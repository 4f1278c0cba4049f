"""One spelling for rules that mean the same by construction.

Identical conditions of different audiences share one state, found by the hash of these bytes
(``rules.model.keys``). Stores hold the hashes: a change here orphans state, and a golden test pins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rules.model import language

_SETS = frozenset({"in", "not_in", "any_of", "all_of"})
"""Operators whose operand's order and repetitions say nothing."""


def canonical(node: language.Rule | language.Predicate) -> bytes:
    """Deterministic bytes of a rule, condition or predicate.

    The order of parts, of event names and of ``in``-like lists doesn't matter, nor do repetitions,
    an ``all`` inside an ``all`` (or ``any`` inside ``any``), whether 1 is written 1.0, or how the steps of
    a sequence are named.
    """
    match node:
        case (
            language.Test()
            | language.Elements()
            | language.AllTests()
            | language.AnyTest()
            | language.NotTest()
        ):
            return predicate_bytes(node, {})
        case language.All():
            return _commutative(b"all", _flat(node.parts, language.All))
        case language.Any():
            return _commutative(b"any", _flat(node.parts, language.Any))
        case language.Not(part=part):
            return frame(b"not", [canonical(part)])
        case language.AtLeast(n=n, parts=parts):
            return frame(b"at_least", [scalar(n), *sorted(map(canonical, parts))])
        case language.Score(parts=scored, comparisons=comparisons):
            points = (frame(b"points", [canonical(part), scalar(each)]) for part, each in scored)
            return frame(b"score", [_comparisons(comparisons), *sorted(points)])
        case language.InAudience(audience=audience, for_ms=for_ms):
            return frame(b"in_audience", [scalar(audience), _optional(for_ms)])
        case language.AttributeCondition(test=test):
            return frame(b"attribute", [canonical(test)])
        case language.EventCondition(names=names, where=where, aggregate=aggregate, window=window):
            pattern = _pattern(language.EventPattern(names, where), {})
            return frame(b"event", [*pattern, _aggregate(aggregate), _window(window)])
        case language.Sequence():
            return _sequence(node)
        case language.NotFollowed():
            return _not_followed(node)


_Names = Mapping[str, str]
"""The steps that a ``ref`` may name, by their numbers: how they are called says nothing."""
FOLLOWED: Final[_Names] = {"a": "0"}
"""Of the events that must not follow."""


def step_numbers(sequence: language.Sequence) -> _Names:
    """The numbers of a sequence's steps that have names."""
    return {step.name: str(at) for at, step in enumerate(sequence.steps) if step.name is not None}


def predicate_bytes(node: language.Predicate, names: _Names) -> bytes:
    """Deterministic bytes of a predicate, as ``canonical``."""
    match node:
        case language.Test(path=path, operator=operator):
            return frame(b"test", [_path(path), scalar(operator), _operand(node, names)])
        case language.Elements(path=path, quantifier="none", test=test):
            return predicate_bytes(language.NotTest(language.Elements(path, "some", test)), names)
        case language.Elements(path=path, quantifier=quantifier, test=test):
            return frame(quantifier.encode(), [_path(path), predicate_bytes(test, names)])
        case language.NotTest(part=part):
            return frame(b"not", [predicate_bytes(part, names)])
        case language.AllTests(parts=parts):
            return _commutative(b"all", _flat_tests(parts, language.AllTests, names))
        case language.AnyTest(parts=parts):
            return _commutative(b"any", _flat_tests(parts, language.AnyTest, names))


def _pattern(pattern: language.EventPattern, names: _Names) -> list[bytes]:
    return [
        frame(b"names", sorted(set(map(scalar, pattern.names)))),
        b"" if pattern.where is None else predicate_bytes(pattern.where, names),
    ]


def _sequence(sequence: language.Sequence) -> bytes:
    numbers = step_numbers(sequence)
    steps = [
        frame(b"step", [*_pattern(step.event, numbers), _optional(step.within_ms)]) for step in sequence.steps
    ]
    without = b"" if sequence.without is None else frame(b"event", _pattern(sequence.without, {}))
    rest = [without, _optional(sequence.total_ms), _window(sequence.window)]
    return frame(b"sequence", [frame(b"steps", steps), *rest])


def _not_followed(source: language.NotFollowed) -> bytes:
    first, later = _pattern(source.event, {}), _pattern(source.follower, FOLLOWED)
    parts = [frame(b"event", first), frame(b"event", later), scalar(source.for_ms), _window(source.window)]
    if source.still:  # not a part of every one: what stores hold came before it
        parts.append(scalar(True))
    return frame(b"not_followed", parts)


def _window(window: language.Window) -> bytes:
    match window:
        case None:
            return b""
        case language.Within(length_ms=length_ms):
            return frame(b"within", [scalar(length_ms)])
        case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
            return frame(b"between_ago", [scalar(far_ms), scalar(near_ms)])
        case language.FromTo(from_ms=from_ms, to_ms=to_ms):
            return frame(b"from_to", [_optional(from_ms), _optional(to_ms)])
        case language.Period(unit=unit, length=length, ago=ago):
            return frame(b"period", [scalar(unit), scalar(length), scalar(ago)])
        case language.SinceEntry(audience=audience):
            return frame(b"since_entry", [scalar(audience)])


def _flat(parts: Iterable[language.Rule], kind: type[language.All] | type[language.Any]) -> Iterable[bytes]:
    """The parts' bytes, with the parts of a part of the same kind in its place."""
    for part in parts:
        if isinstance(part, kind):
            yield from _flat(part.parts, kind)
        else:
            yield canonical(part)


def _flat_tests(
    parts: Iterable[language.Predicate], kind: type[language.AllTests] | type[language.AnyTest], names: _Names
) -> Iterable[bytes]:
    for part in parts:
        if isinstance(part, kind):
            yield from _flat_tests(part.parts, kind, names)
        else:
            yield predicate_bytes(part, names)


def _commutative(tag: bytes, parts: Iterable[bytes]) -> bytes:
    distinct = sorted(set(parts))
    return distinct[0] if len(distinct) == 1 else frame(tag, distinct)


def _aggregate(aggregate: language.Aggregate) -> bytes:
    parts = [scalar(aggregate.kind), _path(aggregate.property or ()), _comparisons(aggregate.comparisons)]
    if aggregate.test is not None:  # not a part of every aggregate: what stores hold came before it
        parts.append(canonical(aggregate.test))
    return frame(b"aggregate", parts)


def _comparisons(comparisons: Iterable[language.Comparison]) -> bytes:
    each = (frame(b"compare", [scalar(one.operator), _literal(one.operand)]) for one in comparisons)
    return _commutative(b"all", each)


def _operand(test: language.Test, names: _Names) -> bytes:
    operand = test.operand
    if isinstance(operand, language.Ref):
        return frame(b"ref", [scalar(names.get(operand.step, operand.step)), _path(operand.path)])
    if test.operator in _SETS and isinstance(operand, tuple):
        return frame(b"set", sorted(set(map(scalar, operand))))
    return _literal(operand)


def _path(path: language.Path) -> bytes:
    return frame(b"path", map(scalar, path))


def _optional(number: int | None) -> bytes:
    return b"" if number is None else scalar(number)


def _literal(value: object) -> bytes:
    return frame(b"list", map(scalar, value)) if isinstance(value, tuple) else scalar(value)


def scalar(value: object) -> bytes:
    """A tag for the type and the value; numbers that are equal are written alike."""
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return b"n%d" % int(value) if value.is_integer() else b"n" + repr(value).encode()
    if isinstance(value, int):
        return b"n%d" % value
    if value is None:
        return b"null"
    raise TypeError(f"not a literal of a rule: {value!r}")


def frame(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """A tag and its parts, each with its length before it: no two lists of parts give equal bytes."""
    return tag + b"(" + b"".join(b"%d:%b" % (len(part), part) for part in parts) + b")"

"""One spelling for rules that mean the same by construction, and the 32-bit keys made from it.

Identical conditions of different audiences share one state, found by the hash of these bytes. The
bytes are kept in stores: a change here orphans state, and a golden test pins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from rules.model import language

_OF_DATES = frozenset({"older_than", "newer_than", "in_next", "between_next"})
_ORDERED = frozenset({"gt", "gte", "lt", "lte", "between"})
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
            return _frame(b"not", [canonical(part)])
        case language.AtLeast(n=n, parts=parts):
            return _frame(b"at_least", [_scalar(n), *sorted(map(canonical, parts))])
        case language.Score(parts=scored, comparisons=comparisons):
            points = (_frame(b"points", [canonical(part), _scalar(each)]) for part, each in scored)
            return _frame(b"score", [_comparisons(comparisons), *sorted(points)])
        case language.InAudience(audience=audience, for_ms=for_ms):
            return _frame(b"in_audience", [_scalar(audience), _optional(for_ms)])
        case language.AttributeCondition(test=test):
            return _frame(b"attribute", [canonical(test)])
        case language.EventCondition(names=names, where=where, aggregate=aggregate, window=window):
            pattern = _pattern(language.EventPattern(names, where), {})
            return _frame(b"event", [*pattern, _aggregate(aggregate), _window(window)])
        case language.Sequence():
            return _sequence(node)
        case language.NotFollowed():
            return _not_followed(node)


def condition_key(
    project: str, condition: language.Condition, timezone: str = "UTC", schedule: str = "", history: str = ""
) -> int:
    """An unsigned 32-bit key, the same for conditions of a project with equal ``key_bytes``."""
    return _key(b"condition", project, key_bytes(condition, timezone, schedule, history))


def key_bytes(
    condition: language.Condition, timezone: str = "UTC", schedule: str = "", history: str = ""
) -> bytes:
    """What a condition's key is made from.

    Its canonical bytes. If its value depends on the audience's time zone (``is_zoned``), also that zone's
    name, UTC included. For batch audiences also the ``schedule_scope``, because their state is held
    differently, and differs by compute instants. Also the ``history_scope``. So a condition has another key
    only where it has another value or state.
    """
    content = canonical(condition)
    # Since dates are midnights in the zone, more depends on it; what UTC's audiences have keeps its key.
    if is_zoned(condition) or (timezone != "UTC" and _has_dates(condition)):
        content = _frame(b"zoned", [_scalar(timezone), content])
    if _keeps_tests_in_order(condition):
        content = _frame(b"spelled", [content])
    if schedule:
        content = _frame(b"batch", [_scalar(schedule), content])
    return _frame(b"history", [_scalar(history), content]) if history else content


def schedule_scope(audience: language.Audience) -> str:
    """What tells the conditions of batch audiences apart by their compute instants; empty for others.

    Audiences with one schedule and time zone share. One that is computed ``once`` shares with none, but keeps
    its state when it is published again.
    """
    schedule = audience.schedule
    if schedule is None:
        return ""
    if schedule.kind == "once":
        return f"once {audience.id}"
    return f"{audience.timezone} {schedule.cron or schedule.kind}"


def history_scope(audience: language.Audience) -> str:
    """What tells the conditions of audiences apart that know less history than others; empty: all of it.

    One that asks for less shares its states with none: publishing another one must not change its members.
    """
    return "" if audience.backfill.history_ms is None else audience.id


def is_zoned(condition: language.Condition) -> bool:
    """Whether calendar days or periods, and so the time zone, decide the value: ``period`` windows, the
    aggregate ``days``, and ``anniversary``. Instants in ``from`` and ``to`` are fixed when it is parsed."""
    match condition:
        case language.EventCondition(aggregate=aggregate, window=window):
            zoned = isinstance(window, language.Period) or aggregate.kind == "days"
        case language.Sequence(window=window) | language.NotFollowed(window=window):
            zoned = isinstance(window, language.Period)
        case language.AttributeCondition() | language.InAudience():
            zoned = False
    return zoned or any(test.operator == "anniversary" for test in _tests(condition))


def _has_dates(condition: language.Condition) -> bool:
    """Whether a test reads dates, which are midnights in the audience's zone."""
    return any(test.operator in _OF_DATES or is_order_of_dates(test) for test in _tests(condition))


def _keeps_tests_in_order(condition: language.Condition) -> bool:
    """Whether its state is a list in the order of several tests. Stores have states in their authors' order
    under the keys that such conditions had before ``spelling``."""
    match condition:
        case language.Sequence(steps=steps):
            wheres = [each.event.where for each in steps]
        case language.NotFollowed(event=event, follower=follower):
            wheres = [event.where, follower.where]
        case _:
            return False
    tests = [[*language.tests_of(each)] for each in wheres]
    return any(len(each) > 1 and any(isinstance(one.operand, language.Ref) for one in each) for each in tests)


def is_order_of_dates(test: language.Test) -> bool:
    """Whether a test may put instants or dates in order."""
    operand = test.operand[0] if isinstance(test.operand, tuple) and test.operand else test.operand
    return test.operator in _ORDERED and isinstance(operand, str | language.Ref)


def _tests(condition: language.Condition) -> Iterator[language.Test]:
    predicates: list[language.Predicate | None]
    match condition:
        case language.EventCondition(where=where, aggregate=aggregate):
            predicates = [where, aggregate.test]
        case language.Sequence(steps=steps, without=without):
            predicates = [each.event.where for each in steps]
            predicates.append(None if without is None else without.where)
        case language.NotFollowed(event=event, follower=follower):
            predicates = [event.where, follower.where]
        case language.AttributeCondition(test=test):
            predicates = [test]
        case language.InAudience():
            predicates = []
    for predicate in predicates:
        yield from language.tests_of(predicate)


def audience_key(project: str, audience_id: str) -> int:
    """An unsigned 32-bit key of an audience of a project."""
    return _key(b"audience", project, audience_id.encode())


def _key(person: bytes, project: str, content: bytes) -> int:
    name = project.encode()
    digest = blake2b(b"%d:%b%b" % (len(name), name, content), digest_size=4, person=person)
    return int.from_bytes(digest.digest(), "big")


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
            return _frame(b"test", [_path(path), _scalar(operator), _operand(node, names)])
        case language.Elements(path=path, quantifier="none", test=test):
            return predicate_bytes(language.NotTest(language.Elements(path, "some", test)), names)
        case language.Elements(path=path, quantifier=quantifier, test=test):
            return _frame(quantifier.encode(), [_path(path), predicate_bytes(test, names)])
        case language.NotTest(part=part):
            return _frame(b"not", [predicate_bytes(part, names)])
        case language.AllTests(parts=parts):
            return _commutative(b"all", _flat_tests(parts, language.AllTests, names))
        case language.AnyTest(parts=parts):
            return _commutative(b"any", _flat_tests(parts, language.AnyTest, names))


def _pattern(pattern: language.EventPattern, names: _Names) -> list[bytes]:
    return [
        _frame(b"names", sorted(set(map(_scalar, pattern.names)))),
        b"" if pattern.where is None else predicate_bytes(pattern.where, names),
    ]


def _sequence(sequence: language.Sequence) -> bytes:
    numbers = step_numbers(sequence)
    steps = [
        _frame(b"step", [*_pattern(step.event, numbers), _optional(step.within_ms)])
        for step in sequence.steps
    ]
    without = b"" if sequence.without is None else _frame(b"event", _pattern(sequence.without, {}))
    rest = [without, _optional(sequence.total_ms), _window(sequence.window)]
    return _frame(b"sequence", [_frame(b"steps", steps), *rest])


def _not_followed(source: language.NotFollowed) -> bytes:
    first, later = _pattern(source.event, {}), _pattern(source.follower, FOLLOWED)
    parts = [_frame(b"event", first), _frame(b"event", later), _scalar(source.for_ms), _window(source.window)]
    if source.still:  # not a part of every one: what stores hold came before it
        parts.append(_scalar(True))
    return _frame(b"not_followed", parts)


def _window(window: language.Window) -> bytes:
    match window:
        case None:
            return b""
        case language.Within(length_ms=length_ms):
            return _frame(b"within", [_scalar(length_ms)])
        case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
            return _frame(b"between_ago", [_scalar(far_ms), _scalar(near_ms)])
        case language.FromTo(from_ms=from_ms, to_ms=to_ms):
            return _frame(b"from_to", [_optional(from_ms), _optional(to_ms)])
        case language.Period(unit=unit, length=length, ago=ago):
            return _frame(b"period", [_scalar(unit), _scalar(length), _scalar(ago)])
        case language.SinceEntry(audience=audience):
            return _frame(b"since_entry", [_scalar(audience)])


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
    return distinct[0] if len(distinct) == 1 else _frame(tag, distinct)


def _aggregate(aggregate: language.Aggregate) -> bytes:
    parts = [_scalar(aggregate.kind), _path(aggregate.property or ()), _comparisons(aggregate.comparisons)]
    if aggregate.test is not None:  # not a part of every aggregate: what stores hold came before it
        parts.append(canonical(aggregate.test))
    return _frame(b"aggregate", parts)


def _comparisons(comparisons: Iterable[language.Comparison]) -> bytes:
    each = (_frame(b"compare", [_scalar(one.operator), _literal(one.operand)]) for one in comparisons)
    return _commutative(b"all", each)


def _operand(test: language.Test, names: _Names) -> bytes:
    operand = test.operand
    if isinstance(operand, language.Ref):
        return _frame(b"ref", [_scalar(names.get(operand.step, operand.step)), _path(operand.path)])
    if test.operator in _SETS and isinstance(operand, tuple):
        return _frame(b"set", sorted(set(map(_scalar, operand))))
    return _literal(operand)


def _path(path: language.Path) -> bytes:
    return _frame(b"path", map(_scalar, path))


def _optional(number: int | None) -> bytes:
    return b"" if number is None else _scalar(number)


def _literal(value: object) -> bytes:
    return _frame(b"list", map(_scalar, value)) if isinstance(value, tuple) else _scalar(value)


def _scalar(value: object) -> bytes:
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


def _frame(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """A tag and its parts, each with its length before it: no two lists of parts give equal bytes."""
    return tag + b"(" + b"".join(b"%d:%b" % (len(part), part) for part in parts) + b")"

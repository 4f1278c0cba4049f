"""Aggregates with their comparisons: ``count``, ``sum``, ``first``, ... (sections 5 and 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from rules.model import language
from rules.parse.document import Entry, Node
from rules.parse.literals import check_ordered
from rules.parse.names import parse_name
from rules.parse.predicate import parse_tests
from rules.parse.values import Reader, join, literal
from rules.predicates.operators import OPERATORS
from rules.time.durations import UNITS_MS

ComparisonName = Literal["gt", "gte", "lt", "lte", "eq", "ne", "between"]
BoundKind = Literal["whole", "number", "duration", "tests"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of section 5's aggregates: whether it is of a property, and what it is compared with."""

    name: language.AggregateKind
    of_property: bool
    bound: BoundKind
    doc: str


AGGREGATES: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("count", False, "whole", "number of events"),
        Kind("sum", True, "number", "sum of the numeric values; 0 when there are none"),
        Kind("avg", True, "number", "their mean; false when there are none"),
        Kind("min", True, "number", "the least of them; false when there are none"),
        Kind("max", True, "number", "the greatest of them; false when there are none"),
        Kind("distinct", True, "whole", "number of different strings, numbers and booleans"),
        Kind("days", False, "whole", "number of calendar days, in the audience's time zone, with an event"),
        Kind("first", True, "tests", "the property of the earliest event; false when there is none"),
        Kind("last", True, "tests", "the property of the latest event; false when there is none"),
        Kind("since_last", False, "duration", "time since the latest event; false when there is none"),
        Kind("since_first", False, "duration", "time since the earliest event; false when there is none"),
    )
}
COMPARISONS: Final[tuple[ComparisonName, ...]] = get_args(ComparisonName)
AT_LEAST_ONE: Final = language.Aggregate("count", None, (language.Comparison("gte", 1),))
"""What an event condition without an aggregate asks for."""

_DAYS: Final[Mapping[language.PeriodUnit, int]] = {"hour": 1, "day": 1, "week": 7, "month": 31, "year": 366}


def parse_aggregate(
    reader: Reader, entries: Mapping[str, Entry], path: str, window: language.Window
) -> language.Aggregate | None:
    """The one aggregate among the keys of an event condition; ``count: {gte: 1}`` for none."""
    given = [key for key in entries if key in AGGREGATES]
    if len(given) > 1:
        message = f"an event condition has one aggregate, not {' and '.join(given)}"
        second, at = join(path, given[1]), entries[given[1]]
        reader.problem("conflict", message, second, at, "write one condition for each, in all or any")
    parsed = [
        _aggregate(reader, AGGREGATES[key], entries[key].node, join(path, key), window) for key in given
    ]
    return parsed[0] if parsed else AT_LEAST_ONE


def parse_comparisons(
    reader: Reader,
    what: str,
    entries: Mapping[str, Entry],
    node: Node,
    path: str,
    bound: BoundKind,
    allowed: tuple[ComparisonName, ...] = COMPARISONS,
) -> tuple[language.Comparison, ...]:
    """Those among ``entries``, in their order; a problem is noted when there are none."""
    found = [key for key in entries if key in allowed]
    comparisons = []
    for key in found:
        operand = _bound(reader, what, key, entries[key].node, join(path, key), bound)
        if operand is not None:
            comparisons.append(language.Comparison(key, operand))  # type: ignore[arg-type]
    if not found:
        hint = f"give one or more of {', '.join(allowed)}"
        reader.problem("missing_key", f"{what} is compared with nothing", path, node, hint)
    return tuple(comparisons)


def _aggregate(
    reader: Reader, kind: Kind, node: Node, path: str, window: language.Window
) -> language.Aggregate | None:
    """``{gte: 3}`` of a count, ``{property: price, gte: 100}`` of a sum; ``path`` leads to it."""
    entries = reader.entries(node, path, kind.name)
    if entries is None:
        return None
    faults = len(reader.problems)
    own = ("property",) if kind.of_property else ()
    allowed = (*own, *(OPERATORS if kind.bound == "tests" else COMPARISONS))
    name = _property(reader, kind.name, entries, node, path, allowed) if kind.of_property else None
    if kind.bound == "tests":
        test = _tests(reader, kind.name, name or (), entries, node, path)
        return None if len(reader.problems) > faults else language.Aggregate(kind.name, name, (), test)
    reader.keys(entries, path, allowed)
    if len(reader.problems) > faults and not any(key in COMPARISONS for key in entries):
        return None  # what is wrong was probably meant to be the comparison
    comparisons = parse_comparisons(reader, kind.name, entries, node, path, kind.bound)
    if len(reader.problems) > faults:
        return None
    for comparison in comparisons:
        inside = join(path, comparison.operator)
        _limit(reader, kind.name, comparison, window, entries[comparison.operator].node, inside)
    return language.Aggregate(kind.name, name, comparisons)


def _tests(
    reader: Reader, what: str, name: language.Path, entries: Mapping[str, Entry], node: Node, path: str
) -> language.Predicate | None:
    operators = {key: entry for key, entry in entries.items() if key != "property"}
    if not operators:
        hint = "such as eq: pro; to test for presence: exists: true"
        reader.problem("missing_key", f"{what} needs an operator", path, node, hint)
        return None
    unknown = {key: entry for key, entry in operators.items() if key not in OPERATORS}
    reader.keys(unknown, path, ("property", *OPERATORS))
    known = {key: entry for key, entry in operators.items() if key in OPERATORS}
    tests = parse_tests(reader, name, known, path)
    return tests[0] if len(tests) == 1 else language.AllTests(tuple(tests))


def _property(
    reader: Reader, kind: str, entries: Mapping[str, Entry], node: Node, path: str, allowed: Iterable[str]
) -> language.Path | None:
    if "property" not in entries:
        if reader.missing(entries, ("property",), allowed):
            hint = "add property: <its name>"
            reader.problem("missing_key", f"{kind} needs a property", path, node, hint)
        return None
    entry, inside = entries["property"], join(path, "property")
    name = reader.text(entry.node, inside, "property")
    return None if name is None else parse_name(reader, name, inside, entry.node)


def _bound(reader: Reader, what: str, operator: str, node: Node, path: str, kind: BoundKind) -> object:
    """A number or a pair of them (durations in ms); None when a problem was noted."""
    if kind == "duration":
        return _durations(reader, operator, node, path)
    if not check_ordered(reader, operator, node, path, instants=False):
        return None
    if kind == "whole":
        for bound in node.value if isinstance(node.value, tuple) else (node,):
            if not isinstance(bound.value, int) or bound.value < 0:
                message = f"a bound of {what} must be an integer of 0 or more"
                reader.problem("wrong_value", message, path, bound)
                return None
    return literal(node)


def _durations(reader: Reader, operator: str, node: Node, path: str) -> object:
    if operator != "between":
        return reader.duration(node, path, operator)
    ends = reader.items(node, path, "between")
    if ends is None:
        return None
    if len(ends) != 2:
        reader.problem("wrong_value", "between takes two durations, [low, high]", path, node)
        return None
    low, high = (reader.duration(end, join(path, at), "between") for at, end in enumerate(ends))
    if low is None or high is None:
        return None
    if low > high:
        reader.problem("wrong_value", "between has its low end above its high end", path, node)
        return None
    return low, high


def _limit(
    reader: Reader, kind: str, comparison: language.Comparison, window: language.Window, node: Node, path: str
) -> None:
    """Refuses what needs more samples than may be kept (section 10).

    Only ``count``, ``distinct`` and ``days`` can need more by definition: to tell n from fewer takes the n
    latest. Of the others the data decides how many there are, and the oldest go if they are too many.
    """
    if kind not in _SAMPLES:
        return
    operand = comparison.operand
    needed = int(operand[1] if isinstance(operand, tuple) else operand)
    needed += comparison.operator not in ("gte", "lt")  # the others tell n from n + 1
    if kind == "count":
        needed = min(needed, _most_counters(window, needed))
    elif kind == "days":
        needed = min(needed, _most_days(window, needed))
    if needed > reader.max_samples:
        message = f"{kind} {comparison.operator} needs the {needed} latest {_SAMPLES[kind]}"
        hint = f"state.max_samples is {reader.max_samples}"
        reader.problem("limit", f"{message}, more than state.max_samples", path, node, hint)


_SAMPLES: Final[Mapping[str, str]] = {"count": "event times", "distinct": "values", "days": "days"}


def _most_counters(window: language.Window, otherwise: int) -> int:
    """Events that come and go together are one counter, however many they are."""
    match window:
        case None | language.FromTo() | language.SinceEntry():
            return 2
        case language.Period(length=length, ago=ago):
            return length + ago + 1
        case _:
            return otherwise


def _most_days(window: language.Window, otherwise: int) -> int:
    """How many calendar days a window can touch."""
    match window:
        case language.Within(length_ms=length_ms) | language.BetweenAgo(far_ms=length_ms):
            return -(-length_ms // UNITS_MS["d"]) + 2  # a day may be short by an hour
        case language.Period(unit="hour", length=length):
            return length // 23 + 2
        case language.Period(unit=unit, length=length, ago=ago):
            return (length + ago) * _DAYS[unit]
        case _:
            return otherwise

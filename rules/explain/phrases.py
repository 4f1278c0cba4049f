"""The parts of sentences about rules: values, durations, comparisons, predicates, windows, events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from rules.model import language
from rules.predicates.paths import MISSING
from rules.time.durations import UNITS_MS
from rules.time.instants import format_instant

LONGEST_VALUE: Final = 60
"""Characters of a value that a sentence shows."""
LISTED: Final = 5
"""Items of a list that a sentence shows."""

_UNITS: Final = (("d", "day"), ("h", "hour"), ("m", "minute"), ("s", "second"), ("ms", "millisecond"))
_COMPARISONS: Final = {
    "gt": "more than {}",
    "gte": "at least {}",
    "lt": "less than {}",
    "lte": "at most {}",
    "eq": "exactly {}",
    "ne": "not exactly {}",
}
_OPERATORS: Final = {
    "eq": "is {}",
    "ne": "is not {}",
    "gt": "is more than {}",
    "gte": "is at least {}",
    "lt": "is less than {}",
    "lte": "is at most {}",
    "in": "is one of {}",
    "not_in": "is none of {}",
    "contains": "contains {}",
    "not_contains": "doesn't contain {}",
    "starts_with": "starts with {}",
    "ends_with": "ends with {}",
    "icontains": "contains {}, in any case",
    "ieq": "is {}, in any case",
    "matches": "matches {}",
    "any_of": "has any of {}",
    "all_of": "has all of {}",
}
_ON_DATES: Final = {
    "older_than": "lies at least {} back",
    "newer_than": "lies less than {} back",
    "in_next": "lies ahead, less than {}",
    "between_next": "lies between {} and {} ahead",
    "anniversary": "has its anniversary today or in the next {}",
    "changed_within": "changed less than {} ago",
}
_QUANTIFIERS: Final = {"some": "some element", "every": "every element", "none": "no element"}
_INSTANTS: Final = {
    "gt": "is after {}",
    "gte": "is not before {}",
    "lt": "is before {}",
    "lte": "is not after {}",
}
_PERIODS: Final = {0: "this", 1: "last"}


def quoted(text: str) -> str:
    """A name or text as JSON writes it; what a terminal would take for a command is escaped, too."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join([each if each.isprintable() else f"\\u{ord(each):04x}" for each in written])


def value_text(value: object) -> str:
    """A literal or a value of data, shortened."""
    if value is MISSING:
        return "missing"
    if isinstance(value, tuple | list):
        shown = ", ".join([value_text(each) for each in value[:LISTED]])
        return f"{shown} and {len(value) - LISTED} more" if len(value) > LISTED else shown or "an empty list"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = quoted(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
    return text if text.isprintable() else quoted(text)


def span(ms: int) -> str:
    """A duration in its largest whole unit: ``7 days``."""
    for unit, name in _UNITS:
        number, rest = divmod(ms, UNITS_MS[unit])
        if not rest:
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    raise AssertionError(ms)


def numbered(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def comparisons(wanted: Iterable[language.Comparison], durations: bool = False) -> str:
    """``at least 2 and less than 5``; of durations in ms ``at least 7 days``."""
    return " and ".join([_comparison(each, durations) for each in wanted])


def _comparison(comparison: language.Comparison, durations: bool) -> str:
    operand = comparison.operand
    ends = operand if isinstance(operand, tuple) else (operand,)
    texts = [span(int(each)) if durations else value_text(each) for each in ends]
    if len(texts) == 2:
        return f"between {texts[0]} and {texts[1]}"
    return _COMPARISONS[comparison.operator].format(texts[0])


def path_text(path: language.Path) -> str:
    """``address.city``; quoted where it isn't plain words. The empty path is ``it``."""
    if not path:
        return "it"
    text = ".".join(path)
    return text if text.replace(".", "").replace("_", "").isalnum() else quoted(text)


def predicate(wanted: language.Predicate) -> str:
    """``price is at least 50 and category is "shoes"``."""
    match wanted:
        case language.Test():
            return f"{path_text(wanted.path)} {_test(wanted.operator, wanted.operand)}"
        case language.Elements(path=path, quantifier=quantifier, test=test):
            listed = f" of {path_text(path)}" if path else ""
            return f"{_QUANTIFIERS[quantifier]}{listed} has: {predicate(test)}"
        case language.AllTests(parts=parts):
            return _joined(parts, " and ")
        case language.AnyTest(parts=parts):
            return _joined(parts, " or ")
        case language.NotTest(part=part):
            return f"not ({predicate(part)})"


def _joined(parts: Sequence[language.Predicate], word: str) -> str:
    texts = [
        predicate(each) if isinstance(each, language.Test | language.NotTest) or len(parts) == 1
        else f"({predicate(each)})"
        for each in parts
    ]  # fmt: skip
    return word.join(texts)


def _test(operator: str, operand: object) -> str:
    if isinstance(operand, language.Ref):
        return _OPERATORS[operator].format(f"the {path_text(operand.path)} of {quoted(operand.step)}")
    if operator in _ON_DATES:
        lengths = operand if isinstance(operand, tuple) else (operand,)
        return _ON_DATES[operator].format(*[span(int(each)) for each in lengths])
    if operator == "exists":
        return "is there" if operand else "is missing or null"
    if operator == "between":
        assert isinstance(operand, tuple)
        return f"is between {value_text(operand[0])} and {value_text(operand[1])}"
    phrases = _INSTANTS if isinstance(operand, str) and operator in _INSTANTS else _OPERATORS
    return phrases[operator].format(value_text(operand))


def events(names: tuple[str, ...], where: language.Predicate | None, plural: bool = False) -> str:
    """``"view" or "click" events where price is at least 50``."""
    noun = "events" if plural else "event"
    if names != (language.ANY_EVENT,):
        noun = f"{' or '.join(map(quoted, names))} {noun}"
    return noun if where is None else f"{noun} where {predicate(where)}"


def window(wanted: language.Window) -> str:
    """`` in the last 7 days``: with a space before it; empty where every event counts."""
    match wanted:
        case None:
            return ""
        case language.Within(length_ms=length_ms):
            return f" in the last {span(length_ms)}"
        case language.BetweenAgo(far_ms=far_ms, near_ms=near_ms):
            return f" between {span(far_ms)} and {span(near_ms)} ago"
        case language.FromTo(from_ms=from_ms, to_ms=to_ms):
            if from_ms is None:
                assert to_ms is not None
                return f" before {format_instant(to_ms)}"
            first = format_instant(from_ms)
            return (
                f" from {first} on"
                if to_ms is None
                else f" from {first} until before {format_instant(to_ms)}"
            )
        case language.Period():
            return " " + _period(wanted)
        case language.SinceEntry(audience=audience):
            return f" since the user entered audience {quoted(audience)}, being in it"


def _period(wanted: language.Period) -> str:
    unit, length, ago = wanted.unit, wanted.length, wanted.ago
    if length == 1 and ago in _PERIODS:
        if unit == "day":
            return "yesterday" if ago else "today"
        return f"{_PERIODS[ago]} {unit}"
    whole = f"in the last {numbered(length, f'calendar {unit}')}"
    return whole if not ago else f"{whole} up to {numbered(ago, unit)} ago"

"""Operators whose operand is data, too (a ``ref``): null or of another type it acts as missing."""

from __future__ import annotations

from typing import Final

from rules.predicates.dates import ORDER, read_text
from rules.predicates.operators import compile_operator
from rules.time.calendar import Calendar

_NEGATIONS: Final = {"ne": "eq", "not_contains": "contains"}
_TEXT_ONLY: Final = frozenset({"starts_with", "ends_with", "icontains", "ieq"})


def holds_against(operator: str, value: object, operand: object) -> bool:
    """The operator's truth for a value."""
    if operator in _NEGATIONS:
        return not holds_against(_NEGATIONS[operator], value, operand)
    if type(operand) not in (str, int, float, bool) or (operator in _TEXT_ONLY and type(operand) is not str):
        return False
    try:
        return compile_operator(operator, operand)(value)
    except ValueError:  # to be ordered, but neither a number nor an instant
        return False


def order_against(operator: str, value: object, operand: object, calendar: Calendar) -> bool:
    """A comparison, in which texts are instants or dates."""
    if type(operand) is not str:
        return holds_against(operator, value, operand)
    instant, bound = read_text(value, calendar), read_text(operand, calendar)
    return instant is not None and bound is not None and ORDER[operator](instant, bound)

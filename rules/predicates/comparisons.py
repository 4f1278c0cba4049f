"""Comparisons of an aggregate's value with its bounds, as closures, and what they can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rules.model import language

Compare: TypeAlias = Callable[[float | int], bool]
"""Whether a number fulfils every comparison of a condition."""


def comparison_of(comparisons: tuple[language.Comparison, ...]) -> Compare:
    """The comparisons as one closure, true where all hold."""
    tests = [_one_comparison(comparison) for comparison in comparisons]
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def count_bound(comparisons: tuple[language.Comparison, ...]) -> int:
    """The number from which on all counts compare alike: no state needs to count further. At least 1."""
    bound = 1
    for comparison in comparisons:
        operand = comparison.operand
        highest = operand[1] if isinstance(operand, tuple) else operand
        needed = int(highest) + (0 if comparison.operator in ("gte", "lt") and highest == int(highest) else 1)
        bound = max(bound, needed)
    return bound


def is_count_at_least(comparisons: tuple[language.Comparison, ...]) -> bool:
    """Whether more events can only make it true, or keep it so, and none aren't enough."""
    is_lower_bound = len(comparisons) == 1 and comparisons[0].operator in ("gte", "gt")
    return is_lower_bound and not comparison_of(comparisons)(0)


def _one_comparison(comparison: language.Comparison) -> Compare:
    operand = comparison.operand
    if isinstance(operand, tuple):
        low, high = operand
        return lambda value: low <= value <= high
    match comparison.operator:
        case "gt":
            return lambda value: value > operand
        case "gte":
            return lambda value: value >= operand
        case "lt":
            return lambda value: value < operand
        case "lte":
            return lambda value: value <= operand
        case "eq":
            return lambda value: value == operand
        case "ne":
            return lambda value: value != operand
        case _:
            raise ValueError(f"comparison {comparison.operator!r} needs a pair")

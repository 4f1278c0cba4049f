"""Points of a score, added up as they are written: 0.1 and 0.7 make 0.8, however many digits there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import lcm

from rules.model import language


def as_written(number: int | float) -> Fraction:
    """The shortest decimal that reads as this number, exactly."""
    return Fraction(repr(number))


def exact_sum(points: Iterable[int | float]) -> Fraction:
    return sum(map(as_written, points), Fraction())


def shown(total: Fraction) -> int | float:
    """A sum, for people."""
    return int(total) if total.denominator == 1 and abs(total) < 1 << 53 else float(total)


def in_whole_numbers(
    points: Sequence[int | float], comparisons: Sequence[language.Comparison]
) -> tuple[list[int], tuple[language.Comparison, ...]]:
    """Points and bounds in a unit of which all are whole multiples, so that sums are exact and fast."""
    exact = [as_written(each) for each in points]
    bounds = [_bounds(each) for each in comparisons]
    unit = lcm(*(each.denominator for each in exact), *(each.denominator for pair in bounds for each in pair))
    wanted: list[language.Comparison] = []
    for each, pair in zip(comparisons, bounds, strict=True):
        scaled = [int(bound * unit) for bound in pair]
        operand = (scaled[0], scaled[1]) if len(scaled) == 2 else scaled[0]
        wanted.append(language.Comparison(each.operator, operand))
    return [int(each * unit) for each in exact], tuple(wanted)


def _bounds(comparison: language.Comparison) -> list[Fraction]:
    operand = comparison.operand
    return [as_written(each) for each in (operand if isinstance(operand, tuple) else (operand,))]

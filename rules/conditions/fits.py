"""Which of a condition's patterns an event fits: a set of their numbers, kept as bits of one integer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

Fits: TypeAlias = int
"""Bit ``n`` is set if the event fits the pattern with the number ``n``, from 0. States hold it as it is."""

NO_FITS: Final[Fits] = 0


def only(number: int) -> Fits:
    """The set of this number."""
    return 1 << number


def has(fits: Fits, number: int) -> bool:
    return fits >> number & 1 == 1


def less(fits: Fits, number: int) -> Fits:
    """The set without this number."""
    return fits & ~(1 << number)


def numbers(fits: Fits) -> Iterator[int]:
    """The numbers in the set, ascending."""
    return (number for number in range(fits.bit_length()) if has(fits, number))

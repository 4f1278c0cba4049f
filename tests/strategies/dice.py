"""Choices, drawn by hypothesis or made by a random number generator.

The generators are plain functions of dice: so they say how likely each thing is, take a fraction of the time
of composed strategies, and hypothesis still finds smaller examples, towards the first of the options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Dice:
    def __init__(self, below: Callable[[int], int]) -> None:
        self._below = below

    def pick(self, options: Sequence[T]) -> T:
        return options[self._below(len(options))] if len(options) > 1 else options[0]

    def whole(self, low: int, high: int) -> int:
        return low + self._below(high - low + 1)

    def once_in(self, times: int) -> bool:
        return self._below(times) == times - 1

    def some(self, options: Sequence[T], most: int) -> list[T]:
        """1 to ``most`` of them, perhaps with repetitions."""
        return [self.pick(options) for _ in range(self.whole(1, most))]

    def two(self, options: Sequence[T], key: Callable[[T], int | float] | None = None) -> list[T]:
        """In ascending order."""
        pair = [self.pick(options), self.pick(options)]
        return sorted(pair, key=key)  # type: ignore[type-var,arg-type]


@cache
def numbers_below(number: int) -> st.SearchStrategy[int]:
    return st.integers(0, number - 1)


def drawn(draw: st.DrawFn) -> Dice:
    return Dice(lambda number: draw(numbers_below(number)))


def rolled(seed: int) -> Dice:
    return Dice(Random(seed).randrange)

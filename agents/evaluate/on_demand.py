"""A sequence of known length whose items are made when the first of them is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

Each = TypeVar("Each")


class OnDemand(Sequence[Each], Generic[Each]):
    """``make`` gives all items; it is called once, or never."""

    def __init__(self, length: int, make: Callable[[], list[Each]]) -> None:
        self._length = length
        self._make = make
        self._items: list[Each] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> Each: ...
    @overload
    def __getitem__(self, at: slice) -> list[Each]: ...
    def __getitem__(self, at: int | slice) -> Each | list[Each]:
        return self._made[at]

    def __iter__(self) -> Iterator[Each]:
        return iter(self._made)

    @property
    def _made(self) -> list[Each]:
        if self._items is None:
            self._items = self._make()
        return self._items

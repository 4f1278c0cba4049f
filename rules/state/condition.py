"""What each condition that keeps a state fulfils: its value, its next timer, how it takes events.

A state is the least that is exact. It lives in ``Row.conditions`` under the condition's key
(docs/semantics.md, section 10), in the form in which it is stored. No state means that no event counted so
far. A window counts an event at ``e`` while ``t - length < e <= t``, so values change by time only at ``e +
length``.

Each kind says in its docstring what its state is, and gives the parts names where there are several:
``rules.aggregates`` has the kinds that aggregate events, ``rules.conditions`` those that look for patterns
and those that stand around another condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from rules.model import language
from rules.state.row import Row, State

Properties: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as conditions take it."""

    name: str
    properties: Properties
    time_ms: int
    """When it happened, but never after ``now_ms``."""
    now_ms: int
    """The partition's clock."""


S = TypeVar("S", bound=State, contravariant=True)
"""The state of one kind of condition."""


class Condition(Protocol[S]):
    """One condition that takes events, shared by every audience that has it.

    Its methods get the row that the state is of.
    """

    @property
    def key(self) -> int:
        """Where ``Row.conditions`` has the state."""

    @property
    def source(self) -> language.StateCondition:
        """The condition as the language has it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the events that it takes; ``*``: any."""

    @property
    def max_samples(self) -> int:
        """How many events it keeps of a user one by one, if its kind does that."""

    @property
    def dropped_samples(self) -> int:
        """Samples that had to go because a user had more than ``max_samples`` of them."""

    @property
    def has_timers(self) -> bool:
        """Whether the value may change by time alone."""

    def value(self, row: Row, state: S | None, at_ms: int) -> bool:
        """The truth at an instant, for this state."""

    def next_timer(self, row: Row, state: S, after_ms: int) -> int | None:
        """The first instant after ``after_ms`` at which the value changes by time alone."""

    def take(self, row: Row, state: S | None, event: Event) -> State | None:
        """The state after an event of one of ``names``; None or empty: nothing is kept.

        The state that is given stays as it is, and comes back if the event doesn't count. The row changes in
        nothing but in which times it keeps.
        """

    def plain(self, row: Row, state: S) -> State:
        """The state as batch audiences keep it, whose states name no times of the row's."""


AnyCondition: TypeAlias = Condition[Any]
"""A condition of a kind that the holder doesn't know; it is given the states that it made."""


def is_same(one: State | None, other: State | None) -> bool:
    """Whether two states are the same bytes in the row, which tells ``1``, ``1.0`` and ``true`` apart."""
    one, other = one or None, other or None
    return one == other and msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other)

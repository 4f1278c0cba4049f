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

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from rules.model import language
from rules.state.row import Row, State

Properties: TypeAlias = Mapping[str, object]

Update: TypeAlias = Callable[[Row, Properties, int, int, int, list[int]], bool]
"""Take one event of the condition's name: (row, properties, event_ms, decided_ms, now_ms, touched).

``decided_ms`` is the instant up to which timers are decided. False: the state is as before. If the truth is
another, or may now change sooner by time, the condition's key is added to ``touched``.
"""

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

    def plain(self, row: Row, state: S) -> State:
        """A copy as batch audiences keep it, whose states name no times of the row's."""

    def updater_for(self, name: str) -> Update:
        """How events of a name are taken (``*``: of names that no condition mentions)."""


AnyCondition: TypeAlias = Condition[Any]
"""A condition of a kind that the holder doesn't know; it is given the states that it made."""

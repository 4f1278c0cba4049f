"""Event conditions at run time: the least state that is exact, its value at an instant, its next timer.

A state lives in ``Row.conditions`` under the condition's key (docs/semantics.md, section 10): a plain list,
or a string that names times of the row (``rules.state.event_times``). No state means that no event counted so
far. A window counts an event at ``e`` while ``t - length < e <= t``, so values change by time only at ``e +
length``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from rules.model import language
from rules.predicates.compiled import compile_predicate
from rules.state.row import Row

State: TypeAlias = Any
Properties: TypeAlias = Mapping[str, object]

Update: TypeAlias = Callable[[Row, Properties, int, int, int, list[int]], bool]
"""Take one event of the condition's name: (row, properties, event_ms, decided_ms, now_ms, touched).

``decided_ms`` is the instant up to which timers are decided. False: the state is as before. If the truth is
another, or may now change sooner by time, the condition's key is added to ``touched``.
"""


class Condition:
    """One event condition, shared by every audience that has it. Its kinds differ in three methods, each of
    which gets the row that the state is of."""

    def __init__(self, key: int, source: language.EventCondition, max_samples: int) -> None:
        self.key = key
        self.source = source
        self.names = source.names
        self.where = compile_predicate(source.where) if source.where is not None else None
        comparisons = source.aggregate.comparisons
        self.compare = comparison_of(comparisons)
        self.at_least = is_at_least(comparisons)
        """More can only make it true, or keep it so for longer."""
        self.max_samples = max_samples
        self.dropped_samples = 0
        """Samples that had to go because a user had more than ``max_samples`` of them."""

    def value(self, row: Row, state: State | None, at_ms: int) -> bool:
        """The truth at an instant, for this state."""
        raise NotImplementedError

    def next_timer(self, row: Row, state: State, after_ms: int) -> int | None:
        """The first instant after ``after_ms`` at which the value changes by time alone."""
        return None

    def apply(self, row: Row, state: State, event_ms: int, properties: Properties, now_ms: int) -> State:
        """Take one matching event. What to keep: the state, changed in place, or another; empty: nothing."""
        raise NotImplementedError

    def plain(self, row: Row, state: State) -> State:
        """A copy as batch audiences keep it, whose states name no times of the row's."""
        return deepcopy(state)

    def timers_only_later(self, state: State) -> bool:
        """Whether one more event, if it left the truth as it was, can only have put the next timer off."""
        return not self.has_timers

    @property
    def has_timers(self) -> bool:
        """Whether the value may change by time alone."""
        return type(self).next_timer is not Condition.next_timer

    def updater_for(self, name: str) -> Update:
        """How events of a name are taken (``*``: of names that no condition mentions)."""
        return self.updater()

    def updater(self) -> Update:
        """How events are taken; kinds that can do it faster replace it."""
        key, where = self.key, self.where
        value, apply, later = self.value, self.apply, self.timers_only_later

        def update(
            row: Row, properties: Properties, event_ms: int, decided_ms: int, now_ms: int, touched: list[int]
        ) -> bool:
            if where is not None and not where(properties):
                return False
            states = row.conditions
            state = states.get(key)
            before = value(row, state, decided_ms)
            state = apply(row, state or [], event_ms, properties, now_ms)
            if state:
                states[key] = state
            else:
                states.pop(key, None)
            if value(row, state, now_ms) != before or not later(state):
                touched.append(key)
            return True

        return update


def is_at_least(comparisons: tuple[language.Comparison, ...]) -> bool:
    return len(comparisons) == 1 and comparisons[0].operator in ("gte", "gt")


def count_bound(comparisons: tuple[language.Comparison, ...]) -> int:
    """The number from which on all counts compare alike: no state needs to count further. At least 1."""
    bound = 1
    for comparison in comparisons:
        operand = comparison.operand
        highest = operand[1] if isinstance(operand, tuple) else operand
        needed = int(highest) + (0 if comparison.operator in ("gte", "lt") and highest == int(highest) else 1)
        bound = max(bound, needed)
    return bound


def comparison_of(comparisons: tuple[language.Comparison, ...]) -> Callable[[float | int], bool]:
    tests = [_one_comparison(comparison) for comparison in comparisons]
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _one_comparison(comparison: language.Comparison) -> Callable[[float | int], bool]:
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


def next_expiry_timer(
    times: list[int], length_ms: int, after_ms: int, compare: Callable[[float | int], bool]
) -> int | None:
    """For a value that is the number of ``times`` in the window: when it next compares otherwise."""
    gone = bisect_right(times, after_ms - length_ms)
    size = len(times)
    now = compare(size - gone)
    while gone < size:
        expiring = times[gone]
        gone = bisect_right(times, expiring, gone)
        if compare(size - gone) != now:
            return expiring + length_ms
    return None


def length_ms_of(source: language.EventCondition) -> int:
    assert isinstance(source.window, language.Within)
    return source.window.length_ms


def path_of(source: language.EventCondition) -> language.Path:
    assert source.aggregate.property is not None
    return source.aggregate.property

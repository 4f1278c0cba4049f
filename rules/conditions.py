"""Event conditions at run time: the least state that is exact, its value at an instant, its next flip.

A state is a plain list that lives in ``Row.conditions`` under the condition's key (spec: rules.md,
section 10). No state means that no event counted so far. A window counts an event at ``e`` while
``t - length < e <= t``, so values change by time only at ``e + length``.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import fsum
from typing import Any, TypeAlias

from rules import model
from rules.canonical import condition_key
from rules.operators import compile_predicate, lookup

State: TypeAlias = list[Any]
Properties: TypeAlias = Mapping[str, object]

IGNORED, KEPT, SOONER, CHANGED = 0, 1, 2, 3
"""What ``observe`` says: the state is as before; it changed, but neither the truth nor the next flip came
nearer; a flip may come sooner; the truth changed."""

FLOAT_LIMIT = 1e290
"""Numbers beyond this do not take part in sums, so that no sum of any length overflows."""

_EMPTY: State = []


class Condition:
    """One event condition, shared by every audience that has it. Its kinds differ in four methods."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        self.key = key
        self.source = source
        self.names = source.names
        self.where = compile_predicate(source.where) if source.where is not None else None
        self.audiences: tuple[int, ...] = ()
        """Indexes of the audiences that this condition is part of; set by ``rules.compile``."""
        comparisons = source.aggregate.comparisons
        self.compare = _comparison(comparisons)
        self.at_least = is_at_least(comparisons)
        """More can only make it true, or keep it so for longer."""
        self.max_samples = max_samples
        self.dropped_samples = 0
        """Samples that had to go because a user had more than ``max_samples`` of them."""

    def value(self, state: State | None, at_ms: int) -> bool:
        """The truth at an instant, for this state."""
        raise NotImplementedError

    def next_flip(self, state: State, after_ms: int) -> int | None:
        """The first instant after ``after_ms`` at which the value changes by time alone."""
        return None

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        """Take one matching event into the state."""
        raise NotImplementedError

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        """Apply one matching event. ``decided_ms`` is the instant up to which flips are decided."""
        state = states.get(self.key)
        before = self.value(state, decided_ms)
        if state is None:
            state = states[self.key] = []
        self.apply(state, event_ms, properties, now_ms)
        if not state:
            del states[self.key]
        return CHANGED if self.value(state, now_ms) != before else SOONER


class CountEver(Condition):
    """State: [number of events], counted no further than the comparisons can tell apart."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(state[0] if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        if not state:
            state.append(1)
        elif state[0] < self.bound:
            state[0] += 1

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        state = states.get(self.key)
        if state is None:
            states[self.key] = [1]
            return CHANGED if self.compare(1) != self.compare(0) else KEPT
        count = state[0]
        if count >= self.bound:
            return IGNORED
        state[0] = count + 1
        return CHANGED if self.compare(count + 1) != self.compare(count) else KEPT


class CountWithin(Condition):
    """State: the latest event times in the window, ascending, no more than the comparisons need."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.length_ms = _length_ms(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        return self.compare(len(state) - bisect_right(state, at_ms - self.length_ms))

    def next_flip(self, state: State, after_ms: int) -> int | None:
        return _next_expiry_flip(state, self.length_ms, after_ms, self.compare)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        horizon = now_ms - self.length_ms
        if event_ms > horizon:
            if not state or event_ms >= state[-1]:
                state.append(event_ms)
            else:
                insort(state, event_ms)
        gone = bisect_right(state, horizon)
        if len(state) - gone > self.bound:
            gone = len(state) - self.bound
        if gone:
            del state[:gone]


class CountAtLeastWithin(CountWithin):
    """``count >= n`` in a window, the commonest kind: an event can only make it true or keep it so."""

    def value(self, state: State | None, at_ms: int) -> bool:
        bound = self.bound
        return state is not None and len(state) >= bound and state[-bound] > at_ms - self.length_ms

    def next_flip(self, state: State, after_ms: int) -> int | None:
        if len(state) < self.bound:
            return None
        flip: int = state[-self.bound] + self.length_ms
        return flip if flip > after_ms else None

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        length_ms = self.length_ms
        if event_ms <= now_ms - length_ms:
            return IGNORED
        state = states.get(self.key)
        bound = self.bound
        if state is None:
            states[self.key] = [event_ms]
            return CHANGED if bound == 1 else KEPT
        size = len(state)
        before = size >= bound and state[-bound] > decided_ms - length_ms
        if event_ms >= state[-1]:
            state.append(event_ms)
        else:
            insort(state, event_ms)
        if size >= bound:
            del state[0]
        if before:
            # It stays true, and its flip moves later: what the due index has is still a lower bound.
            # (At ``now_ms`` itself it may have run out: then the flip due now decides, not this event.)
            return KEPT
        return CHANGED if len(state) >= bound and state[-bound] > now_ms - length_ms else KEPT


class SumEver(Condition):
    """State: the exact sum as non-overlapping floats (Shewchuk 1997, as math.fsum keeps it)."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = _path(source)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(round(fsum(state), 9) if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        number = _number(lookup(properties, self.path))
        if number is not None:
            _add_exactly(state, number)


class SumWithin(Condition):
    """State: [times ascending, their values, the exact sum of all values as in SumEver]."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = _path(source)
        self.length_ms = _length_ms(source)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        times, values, exact = state
        gone = bisect_right(times, at_ms - self.length_ms)
        if gone:
            exact = list(exact)
            for expired in values[:gone]:
                _add_exactly(exact, -expired)
        return self.compare(round(fsum(exact), 9))

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        dropped = self.dropped_samples
        said = super().observe(states, event_ms, properties, decided_ms, now_ms)
        if said == SOONER and self.at_least and dropped == self.dropped_samples:
            state = states.get(self.key)
            if state is None or min(state[1]) >= 0:
                return KEPT  # amounts only add up: the flip moves later or there is none
        return said

    def next_flip(self, state: State, after_ms: int) -> int | None:
        times, values, exact = state
        length_ms = self.length_ms
        rest = list(exact)
        gone = bisect_right(times, after_ms - length_ms)
        for expired in values[:gone]:
            _add_exactly(rest, -expired)
        now = self.compare(round(fsum(rest), 9))
        while gone < len(times):
            flip: int = times[gone] + length_ms
            while gone < len(times) and times[gone] + length_ms == flip:
                _add_exactly(rest, -values[gone])
                gone += 1
            if self.compare(round(fsum(rest), 9)) != now:
                return flip
        return None

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        number = _number(lookup(properties, self.path))
        horizon = now_ms - self.length_ms
        if number is not None and event_ms > horizon:
            if not state:
                state.extend(([], [], []))
            times, values, exact = state
            at = bisect_right(times, event_ms)
            times.insert(at, event_ms)
            values.insert(at, number)
            _add_exactly(exact, number)
        if not state:
            return
        times, values, exact = state
        gone = bisect_right(times, horizon)
        if len(times) - gone > self.max_samples:
            self.dropped_samples += len(times) - gone - self.max_samples
            gone = len(times) - self.max_samples
        if gone:
            for expired in values[:gone]:
                _add_exactly(exact, -expired)
            del times[:gone], values[:gone]
            if not times:
                state.clear()


class DistinctEver(Condition):
    """State: the different values, no more than the comparisons can tell apart."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = _path(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        return self.compare(len(state) if state else 0)

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        value = distinct_value(lookup(properties, self.path))
        if value is not None and len(state) < self.bound and value not in state:
            state.append(value)


class DistinctWithin(Condition):
    """State: [latest times ascending, their values]: the most recent values the comparisons need."""

    def __init__(self, key: int, source: model.EventCondition, max_samples: int) -> None:
        super().__init__(key, source, max_samples)
        self.path = _path(source)
        self.length_ms = _length_ms(source)
        self.bound = count_bound(source.aggregate.comparisons)

    def value(self, state: State | None, at_ms: int) -> bool:
        if not state:
            return self.compare(0)
        times = state[0]
        return self.compare(len(times) - bisect_right(times, at_ms - self.length_ms))

    def next_flip(self, state: State, after_ms: int) -> int | None:
        return _next_expiry_flip(state[0], self.length_ms, after_ms, self.compare)

    def observe(
        self, states: dict[int, State], event_ms: int, properties: Properties, decided_ms: int, now_ms: int
    ) -> int:
        said = super().observe(states, event_ms, properties, decided_ms, now_ms)
        return KEPT if said == SOONER and self.at_least else said

    def apply(self, state: State, event_ms: int, properties: Properties, now_ms: int) -> None:
        value = distinct_value(lookup(properties, self.path))
        horizon = now_ms - self.length_ms
        if value is not None and event_ms > horizon:
            if not state:
                state.extend(([], []))
            times, values = state
            if value in values:
                known = values.index(value)
                event_ms = max(event_ms, times[known])
                del times[known], values[known]
            at = bisect_right(times, event_ms)
            times.insert(at, event_ms)
            values.insert(at, value)
        if not state:
            return
        times, values = state
        gone = max(bisect_right(times, horizon), len(times) - self.bound)
        if gone > 0:
            del times[:gone], values[:gone]
            if not times:
                state.clear()


def build_condition(project: str, source: model.EventCondition, max_samples: int = 1000) -> Condition:
    """The run-time condition of its kind. ``max_samples`` bounds the events a sum keeps per user."""
    key = condition_key(project, source)
    kind = source.aggregate.kind
    ever = source.window is None
    if kind == "count":
        if ever:
            return CountEver(key, source, max_samples)
        comparisons = source.aggregate.comparisons
        if is_at_least(comparisons) and count_bound(comparisons) == at_least_needed(comparisons[0]):
            return CountAtLeastWithin(key, source, max_samples)
        return CountWithin(key, source, max_samples)
    if kind == "sum":
        return SumEver(key, source, max_samples) if ever else SumWithin(key, source, max_samples)
    return DistinctEver(key, source, max_samples) if ever else DistinctWithin(key, source, max_samples)


def is_at_least(comparisons: tuple[model.Comparison, ...]) -> bool:
    return len(comparisons) == 1 and comparisons[0].operator in ("gte", "gt")


def at_least_needed(comparison: model.Comparison) -> int:
    """The least whole number that satisfies a ``gte`` or ``gt``."""
    operand = comparison.operand
    assert not isinstance(operand, tuple)
    whole = int(operand)
    if comparison.operator == "gte":
        return whole if whole == operand else whole + 1
    return whole + 1


def count_bound(comparisons: tuple[model.Comparison, ...]) -> int:
    """The number from which on all counts compare alike: no state needs to count further. At least 1."""
    bound = 1
    for comparison in comparisons:
        operand = comparison.operand
        highest = operand[1] if isinstance(operand, tuple) else operand
        needed = int(highest) + (0 if comparison.operator in ("gte", "lt") and highest == int(highest) else 1)
        bound = max(bound, needed)
    return bound


def distinct_value(value: object) -> str | int | float | None:
    """What ``distinct`` tells values apart by: strings, numbers and booleans; None for all else."""
    if type(value) is str:
        if len(value) > 64 or value.startswith("\0"):
            return "\0" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return value
    if type(value) is bool:
        return "\0true" if value else "\0false"
    if type(value) is float and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if type(value) is int or type(value) is float:
        return value
    return None


def _comparison(comparisons: tuple[model.Comparison, ...]) -> Callable[[float | int], bool]:
    tests = [_one_comparison(comparison) for comparison in comparisons]
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _one_comparison(comparison: model.Comparison) -> Callable[[float | int], bool]:
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


def _next_expiry_flip(
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


def _add_exactly(partials: State, number: float) -> None:
    """Add to a list of non-overlapping floats without losing a bit (Shewchuk's grow-expansion)."""
    kept = 0
    for partial in partials:
        high, low = (number, partial) if abs(number) >= abs(partial) else (partial, number)
        number = high + low
        error = low - (number - high)
        if error:
            partials[kept] = error
            kept += 1
    partials[kept:] = [number] if number else []


def _number(value: object) -> float | None:
    if (type(value) is float or type(value) is int) and -FLOAT_LIMIT < value < FLOAT_LIMIT:
        return float(value)
    return None


def _length_ms(source: model.EventCondition) -> int:
    assert source.window is not None
    return source.window.length_ms


def _path(source: model.EventCondition) -> model.Path:
    assert source.aggregate.property is not None
    return source.aggregate.property


__all__ = ["CHANGED", "IGNORED", "KEPT", "SOONER", "Condition", "build_condition"]

"""The facts that a condition rests on at an instant, read from what its state keeps of them.

States are the least that is exact, so they don't hold every event: of ``count >= 3`` the three latest are
known, and that there may be more; of an average that it is 12.5, but not of which events.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from math import fsum
from typing import Any, TypeAlias

from rules.aggregates.accumulator import Accumulator, Series
from rules.aggregates.counts import CountEver, CountWithin
from rules.aggregates.distincts import DistinctEver, DistinctWithin
from rules.aggregates.general import GeneralAggregate
from rules.aggregates.of_events import Count, Distinct, First, Since
from rules.aggregates.of_numbers import Average, Extreme, Sum
from rules.aggregates.sums import SumEver, SumWithin
from rules.aggregates.windows import Always, Periods, counting
from rules.conditions.attributes import watched_paths
from rules.conditions.batch import BatchCondition, HeldState
from rules.conditions.nested import SinceEntryCondition
from rules.conditions.not_followed import NotFollowedCondition, NotFollowedState
from rules.conditions.sequences import SequenceCondition, SequenceState
from rules.model import language
from rules.predicates.paths import lookup
from rules.state.condition import AnyCondition
from rules.state.event_times import instants
from rules.state.profile_update import attribute_change_ms, last_change_ms
from rules.state.row import Row, State

SHOWN = 20
"""Instants and values that are told of one condition, the latest ones; the rest is a number."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """Of an aggregate over events."""

    number: float | int | None = None
    """Its value; None: there is none, or (``first last since_first since_last``) it isn't a number."""
    or_more: bool = False
    """No more are counted than the comparisons can tell apart."""
    events_ms: tuple[int, ...] = ()
    """Times of the events that count, ascending, where they are kept: the latest ``SHOWN``."""
    left_out: int = 0
    """How many further times are kept."""
    values: tuple[object, ...] = ()
    """Of ``distinct`` the values, of ``days`` the dates; long values are kept as digests only, not told."""
    entered: MembershipFacts | None = None
    """Of ``within: {audience: id}``: of that audience."""


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    ends_ms: tuple[int, ...] = ()
    """Times of last steps that complete the sequence, and count."""
    steps: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(event time, numbers from 1 of the steps that it may be) of the events kept for sequences to come;
    0 is the event of ``without``."""
    left_out: int = 0
    """How many more events are kept."""


@dataclass(frozen=True, slots=True)
class NotFollowedFacts:
    events_ms: tuple[int, ...] = ()
    """Times of events that nothing followed, and that count."""
    open_ms: tuple[int, ...] = ()
    """Times of events that nothing followed so far, and that may come to count."""


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    value: object
    """``operators.MISSING`` when there is none."""
    changed_ms: int | None
    """When the attribute changed last, or the value deep in it where the condition asks for that; None: it
    never was set."""


@dataclass(frozen=True, slots=True)
class MembershipFacts:
    inside: bool
    since_ms: int | None
    """When the user entered, or left; None: never was in it."""


@dataclass(frozen=True, slots=True)
class BatchFacts:
    decided_ms: int | None
    """The latest compute instant; None: there was none yet."""
    next_ms: int | None
    """The one after it; None: there is none."""


Facts: TypeAlias = (
    EventFacts | SequenceFacts | NotFollowedFacts | AttributeFacts | MembershipFacts | BatchFacts
)


def attribute_facts(source: language.AttributeCondition, row: Row) -> AttributeFacts:
    path = next(language.paths_of(source.test))
    watched = bool(watched_paths(source.test))
    changed_ms = last_change_ms(row, path) if watched else attribute_change_ms(row, path)
    return AttributeFacts(lookup(row.attributes, path), changed_ms)


def membership_facts(key: int, row: Row) -> MembershipFacts:
    """``key`` is the audience's in ``Row.audiences``."""
    membership = row.audiences.get(key)
    if membership is None:
        return MembershipFacts(False, None)
    return MembershipFacts(membership.inside, row.since_ms(membership))


def state_facts(condition: AnyCondition, stored: State | None, row: Row, at_ms: int) -> Facts:
    """Of a condition that keeps a state, at an instant no earlier than the row's last step."""
    state: Any = stored or None
    match condition:
        case BatchCondition(inner=inner):
            return state_facts(inner, HeldState(*state).seen(at_ms) if state else None, row, at_ms)
        case SequenceCondition():
            return _sequence(condition, state, at_ms)
        case NotFollowedCondition():
            return _not_followed(condition, state, at_ms)
        case SinceEntryCondition():
            return _since_entry(condition, state, row, at_ms)
        case GeneralAggregate(window=window):
            series = Series.of(state)
            first, end = counting(window, series.times, at_ms)
            return _of_stretch(
                condition.accumulator, series, first, end, not isinstance(window, Always | Periods)
            )
        case CountEver(bound=bound):
            number = state[0] if state else 0
            return EventFacts(number, number >= bound)
        case CountWithin(bound=bound, length_ms=length_ms):
            times = _in_window(row, state or "", length_ms, at_ms)
            return EventFacts(len(times), len(times) >= bound, *_latest(times))
        case SumEver():
            return EventFacts(round(fsum(state or []), 9))
        case SumWithin(length_ms=length_ms):
            refs, numbers, _ = state or ("", [], [])
            times = _in_window(row, refs, length_ms, at_ms)
            total = fsum(numbers[len(numbers) - len(times) :])
            return EventFacts(round(total, 9), False, *_latest(times))
        case DistinctEver(bound=bound):
            return EventFacts(len(state or []), len(state or []) >= bound, values=_told(state or []))
        case DistinctWithin(bound=bound, length_ms=length_ms):
            refs, values = state or ("", [])
            times = _in_window(row, refs, length_ms, at_ms)
            told = _told(values[len(values) - len(times) :])
            return EventFacts(len(times), len(times) >= bound, *_latest(times), told)
        case _:
            raise TypeError(f"no facts are known of {type(condition).__name__}")


def _in_window(row: Row, refs: str, length_ms: int, at_ms: int) -> list[int]:
    times = instants(row, refs)
    return times[bisect_right(times, at_ms - length_ms) :]


def _latest(times: Sequence[int]) -> tuple[tuple[int, ...], int]:
    return tuple(times[-SHOWN:]), max(0, len(times) - SHOWN)


def _told(values: Iterable[object]) -> tuple[object, ...]:
    """The values that ``rules.aggregates.distincts`` keeps, as they came."""
    told = [
        {"\0true": True, "\0false": False}.get(each, each) if type(each) is str else each for each in values
    ]
    return tuple([each for each in told if not (isinstance(each, str) and each.startswith("\0"))][-SHOWN:])


def _of_stretch(accumulator: Accumulator, series: Series, first: int, end: int, single: bool) -> EventFacts:
    """``single``: each accumulator is of one instant, so that the times are those of the events."""
    times, accumulators = series.times[first:end], series.accumulators[first:end]
    events = _latest(times) if single else ((), 0)
    match accumulator:
        case Count():
            number = sum([each[0] for each in accumulators])
            return EventFacts(number, number >= accumulator.bound, *events)
        case Sum():
            return EventFacts(
                round(fsum([part for each in accumulators for part in each]), 9), False, *events
            )
        case Average():
            number = sum([each[0] for each in accumulators])
            total = fsum([part for each in accumulators for part in each[1:]])
            return EventFacts(round(total / number, 9) if number else None, False, *events)
        case Extreme(pick=pick):
            return EventFacts(pick(accumulators)[0] if accumulators else None, False, *events)
        case Distinct(path=path):
            values = list(dict.fromkeys([value for each in accumulators for value in each]))
            told = _told(values) if path else tuple([date.fromordinal(each).isoformat() for each in values])
            return EventFacts(len(values), len(values) >= accumulator.bound, *events, told[-SHOWN:])
        case First(last=last) | Since(last=last):
            return EventFacts(events_ms=tuple(times[-1:] if last else times[:1]))
        case _:
            raise TypeError(f"no facts are known of {type(accumulator).__name__}")


def _since_entry(condition: SinceEntryCondition, state: list[Any] | None, row: Row, at_ms: int) -> EventFacts:
    series = Series.of(state)
    first, end = condition.counting(row, series, at_ms)
    found = _of_stretch(condition.accumulator, series, first, end, False)
    entered = membership_facts(condition.audience, row)
    return EventFacts(found.number, found.or_more, found.events_ms, 0, found.values, entered)


def _sequence(condition: SequenceCondition, state: list[Any] | None, at_ms: int) -> SequenceFacts:
    if not state:
        return SequenceFacts()
    kept = SequenceState.copy_of(state)
    first, end = counting(condition.window, kept.ends, at_ms)
    ended = tuple(kept.ends[first:end][-SHOWN:])
    steps = [
        (event_ms, tuple(condition.steps_of(fits)))
        for event_ms, fits in zip(kept.times, kept.steps, strict=True)
    ]
    return SequenceFacts(ended, tuple(steps[-SHOWN:]), max(0, len(steps) - SHOWN))


def _not_followed(condition: NotFollowedCondition, state: list[Any] | None, at_ms: int) -> NotFollowedFacts:
    times = NotFollowedState.copy_of(state).events
    window = condition.window
    first, end = counting(window, times, at_ms)
    coming = [each for each in times[end:] if window.joins(each) > at_ms]
    return NotFollowedFacts(tuple(times[first:end][-SHOWN:]), tuple(coming[-SHOWN:]))

"""From a condition of the model to the one that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rules.aggregates.counts import CountAtLeastWithin, CountEver, CountWithin
from rules.aggregates.distincts import DistinctEver, DistinctWithin
from rules.aggregates.general import GeneralAggregate
from rules.aggregates.of_events import build_accumulator
from rules.aggregates.sums import SumEver, SumWithin
from rules.aggregates.windows import build_window
from rules.conditions.attributes import compile_attribute
from rules.conditions.dated_where import DatedWhere
from rules.conditions.nested import SinceEntryCondition, compile_membership
from rules.conditions.not_followed import NotFollowedCondition
from rules.conditions.sequences import SequenceCondition
from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.model.canonical import condition_key
from rules.predicates.comparisons import count_bound, is_at_least
from rules.predicates.dates import is_dated
from rules.state.condition import AnyCondition
from rules.time.calendar import Calendar, calendar_of


def build_condition(
    project: str,
    source: language.StateCondition,
    max_samples: int = 1000,
    timezone: str = "UTC",
    schedule: str = "",
) -> AnyCondition:
    """The run-time condition of its kind, in the audience's time zone (an IANA name). ``max_samples`` bounds
    the events kept per user, of the kinds that need them one by one. ``schedule`` tells those of batch
    audiences apart (``canonical.schedule_scope``)."""
    calendar = calendar_of(timezone)
    key = condition_key(project, source, timezone, schedule)
    match source:
        case language.Sequence():
            return SequenceCondition(key, source, max_samples, calendar)
        case language.NotFollowed():
            return NotFollowedCondition(key, source, max_samples, calendar)
        case language.EventCondition(where=where) if where is not None and is_dated(where):
            plain = replace(source, where=None)
            inner = _build_event_condition(project, key, plain, max_samples, calendar, bool(schedule))
            return DatedWhere(inner, source, calendar)
        case language.EventCondition():
            return _build_event_condition(project, key, source, max_samples, calendar, bool(schedule))


def compile_row_condition(
    project: str, source: language.AttributeCondition | language.InAudience, timezone: str = "UTC"
) -> CompiledRule:
    """The truth of a condition that reads the row alone."""
    if isinstance(source, language.InAudience):
        return compile_membership(project, source)
    return compile_attribute(source, calendar_of(timezone))


def _build_event_condition(
    project: str, key: int, source: language.EventCondition, max_samples: int, calendar: Calendar, batch: bool
) -> AnyCondition:
    if isinstance(source.window, language.SinceEntry):
        accumulator, audience = build_accumulator(source.aggregate, calendar), source.window.audience
        return SinceEntryCondition(key, source, max_samples, project, audience, accumulator, batch)
    # A batch audience's condition keeps two states at times: they name no times of the row's.
    fast = None if batch and source.window is not None else fast_kind(source)
    if fast is not None:
        return fast(key, source, max_samples)
    window = build_window(source.window, calendar)
    return GeneralAggregate(key, source, max_samples, window, build_accumulator(source.aggregate, calendar))


def fast_kind(
    source: language.EventCondition,
) -> Callable[[int, language.EventCondition, int], AnyCondition] | None:
    """The class of the commonest kinds: counts, sums and distinct values, for ever or ``within``."""
    kind, ever = source.aggregate.kind, source.window is None
    if language.has_elements(source.aggregate.property or ()):
        return None  # an event has many values
    if not ever and not isinstance(source.window, language.Within):
        return None
    match kind:
        case "count" if ever:
            return CountEver
        case "count":
            comparisons = source.aggregate.comparisons
            if is_at_least(comparisons) and count_bound(comparisons) == at_least_needed(comparisons[0]):
                return CountAtLeastWithin
            return CountWithin
        case "sum":
            return SumEver if ever else SumWithin
        case "distinct":
            return DistinctEver if ever else DistinctWithin
        case _:
            return None


def at_least_needed(comparison: language.Comparison) -> int:
    """The least whole number that satisfies a ``gte`` or ``gt``."""
    operand = comparison.operand
    assert not isinstance(operand, tuple)
    whole = int(operand)
    if comparison.operator == "gte":
        return whole if whole == operand else whole + 1
    return whole + 1

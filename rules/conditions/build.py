"""From a condition of the model to the one that runs."""

from __future__ import annotations

from collections.abc import Callable

from rules.aggregates.counts import CountEver, CountWithin
from rules.aggregates.distincts import DistinctEver, DistinctWithin
from rules.aggregates.general import GeneralAggregate
from rules.aggregates.of_events import build_accumulator
from rules.aggregates.sums import SumEver, SumWithin
from rules.aggregates.windows import build_window
from rules.conditions.attributes import AttributeRule, compile_attribute
from rules.conditions.nested import MembershipRule, SinceEntryCondition
from rules.conditions.not_followed import NotFollowedCondition
from rules.conditions.sequences import SequenceCondition
from rules.model import language
from rules.model.keys import audience_key, condition_key
from rules.model.spelling import spelled
from rules.state.condition import AnyCondition
from rules.time.calendar import Calendar, calendar_of


def build_condition(
    project: str,
    source: language.StateCondition,
    max_samples: int = 1000,
    timezone: str = "UTC",
    schedule: str = "",
    history: str = "",
) -> AnyCondition:
    """The run-time condition of its kind, in the audience's time zone (an IANA name). ``max_samples`` bounds
    the events kept per user, of the kinds that need them one by one. ``schedule`` tells those of batch
    audiences apart (``canonical.schedule_scope``), ``history`` those that know less (``history_scope``)."""
    calendar = calendar_of(timezone)
    key = condition_key(project, source, timezone, schedule, history)
    match source:
        case language.Sequence():
            return SequenceCondition(key, spelled(source), max_samples, calendar)
        case language.NotFollowed():
            return NotFollowedCondition(key, spelled(source), max_samples, calendar)
        case language.EventCondition():
            return _build_event_condition(project, key, source, max_samples, calendar, bool(schedule))


def compile_row_condition(
    project: str, source: language.AttributeCondition | language.InAudience, timezone: str = "UTC"
) -> MembershipRule | AttributeRule:
    """The rule of a condition that keeps no state: it reads the row alone."""
    if isinstance(source, language.InAudience):
        return MembershipRule(audience_key(project, source.audience), source.for_ms or 0)
    return compile_attribute(source, calendar_of(timezone))


def _build_event_condition(
    project: str, key: int, source: language.EventCondition, max_samples: int, calendar: Calendar, batch: bool
) -> AnyCondition:
    if isinstance(source.window, language.SinceEntry):
        audience = audience_key(project, source.window.audience)
        accumulator = build_accumulator(source.aggregate, calendar)
        return SinceEntryCondition(key, source, max_samples, calendar, audience, accumulator, batch)
    # A batch audience's condition keeps two states at times: they name no times of the row's.
    kind = None if batch and source.window is not None else small_kind(source)
    if kind is not None:
        return kind(key, source, max_samples, calendar)
    window, accumulator = build_window(source.window, calendar), build_accumulator(source.aggregate, calendar)
    return GeneralAggregate(key, source, max_samples, calendar, window, accumulator)


def small_kind(
    source: language.EventCondition,
) -> Callable[[int, language.EventCondition, int, Calendar], AnyCondition] | None:
    """The class that keeps less than the general one: of counts, sums and distinct values, for ever or
    ``within``."""
    if language.has_elements(source.aggregate.property or ()):
        return None  # an event has many values
    match source.window, source.aggregate.kind:
        case None, "count":
            return CountEver
        case None, "sum":
            return SumEver
        case None, "distinct":
            return DistinctEver
        case language.Within(), "count":
            return CountWithin
        case language.Within(), "sum":
            return SumWithin
        case language.Within(), "distinct":
            return DistinctWithin
        case _:
            return None

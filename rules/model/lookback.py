"""How far back an audience looks: what of the log its value at an instant depends on (section 8a.6).

At ``t`` an audience with a lookback of L ms depends on the records with a timestamp above ``t - L``, on those
that the user's row keeps anyway (attributes, when the user was first seen), and on no others. A computation
that begins with the row at ``t - L``, and takes those records, has the right value at ``t`` and from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from rules.model import language
from rules.model.gaps import longest_gap_ms

_DAY_MS: Final = 86_400_000
_LONGEST_MS: Final[Mapping[language.PeriodUnit, int]] = {
    "hour": 3_600_000,
    "day": _DAY_MS,
    "week": 7 * _DAY_MS,
    "month": 31 * _DAY_MS,
    "year": 366 * _DAY_MS,
}
"""The longest of each unit on a clock that nobody changes."""
_CLOCK_CHANGES_MS: Final = _DAY_MS
"""What changes of a zone's clock add to calendar periods, at most: a zone that moves across the date line."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """Records above ``t - length_ms`` and above ``fixed_ms`` count. ``length_ms`` None: every record."""

    length_ms: int | None = 0
    fixed_ms: int | None = None

    def also(self, other: _Reach) -> _Reach:
        """Both of them."""
        if self.length_ms is None or other.length_ms is None:
            return _EVERYTHING
        fixed = [each for each in (self.fixed_ms, other.fixed_ms) if each is not None]
        return _Reach(max(self.length_ms, other.length_ms), min(fixed, default=None))

    def longer(self, by_ms: int) -> _Reach:
        """What is asked about was so ``by_ms`` ago. An instant in a definition stays where it is."""
        return self if self.length_ms is None else _Reach(self.length_ms + by_ms, self.fixed_ms)

    def before(self, by_ms: int) -> _Reach:
        """What counts may lie ``by_ms`` before what a window is about."""
        return _Reach(self.longer(by_ms).length_ms, None if self.fixed_ms is None else self.fixed_ms - by_ms)

    def at_most(self, most_ms: int) -> _Reach:
        if self.length_ms is None or self.fixed_ms is not None:
            return _Reach(most_ms)
        return _Reach(min(self.length_ms, most_ms))


_EVERYTHING: Final = _Reach(None)
_NOTHING: Final = _Reach()


def lookback_ms(
    audience: language.Audience,
    by_id: Mapping[str, language.Audience],
    dedupe_ms: int,
    at_ms: int | None = None,
) -> int | None:
    """The lookback of an audience and of all that it asks about; None: everything; 0: the row is enough.

    ``by_id``: the audiences of its project, by id. One that isn't there counts as nothing, and audiences that
    ask about each other in a circle, against all checks, as everything.
    ``dedupe_ms``: the setting ``dedupe.window``; ids are remembered for up to 1/64 longer, or a second, and
    that is added.
    ``at_ms``: the instant from which one looks back. Only windows with a fixed begin (``from``) need it;
    without it they count as everything.
    """
    return _length(_reach(audience, by_id, asked=False), dedupe_ms, at_ms)


def asked_ms(
    audience: language.Audience,
    by_id: Mapping[str, language.Audience],
    dedupe_ms: int,
    at_ms: int | None = None,
) -> int | None:
    """As ``lookback_ms``, but of no audience more than its ``backfill: {history: ...}`` asks for."""
    asked, most_ms = _reach(audience, by_id, asked=True), audience.backfill.history_ms
    asked_ms = _length(asked, dedupe_ms, at_ms)
    if most_ms is None:
        return asked_ms
    return most_ms if asked_ms is None else min(asked_ms, most_ms)


def events_begin_ms(condition: language.StateCondition, at_ms: int) -> int | None:
    """Which events a condition looks at: those after this instant; None: all.

    Of a condition ``within: {audience}`` all, because the user's entry isn't known here; of a calendar
    period it may be up to a period too early.
    """
    reach = _of_condition(condition, {})
    if reach.length_ms is None:
        return None
    begin_ms = at_ms - reach.length_ms
    return begin_ms if reach.fixed_ms is None else min(begin_ms, reach.fixed_ms)


def replays_everything(targets: Iterable[language.Audience], by_id: Mapping[str, language.Audience]) -> bool:
    """Whether what attributes were in the past decides the value of one of the targets.

    A row has attributes as they are now. What they were matters where a rule is asked about an earlier
    instant: in a batch audience, in an audience that another one asks about with ``for:`` or
    ``within: {audience}``, and in all that those ask about. Such a replay reads all of the history that
    there is, whatever the lookback: an attribute may have been set at any time.
    """
    seen: set[tuple[str, bool]] = set()
    waiting = [(target, target.type == "batch") for target in targets]
    while waiting:
        audience, past = waiting.pop()
        if past and any(
            isinstance(c, language.AttributeCondition) for c in language.conditions(audience.rule)
        ):
            return True
        for each, its_past in asked_about(audience.rule):
            other = by_id.get(each)
            if other is None:
                continue
            found = each, past or its_past or other.type == "batch"
            if found not in seen:
                seen.add(found)
                waiting.append((other, found[1]))
    return False


def asked_about(rule: language.Rule) -> Iterator[tuple[str, bool]]:
    """(id, whether its past is asked about) of each audience that a rule speaks of."""
    for condition in language.conditions(rule):
        match condition:
            case language.InAudience(audience=audience, for_ms=for_ms):
                yield audience, for_ms is not None
            case language.EventCondition(window=language.SinceEntry(audience=audience)):
                yield audience, True


def _length(reach: _Reach, dedupe_ms: int, at_ms: int | None) -> int | None:
    length_ms = reach.length_ms
    if length_ms is None or (reach.fixed_ms is not None and at_ms is None):
        return None
    if reach.fixed_ms is not None and at_ms is not None:
        length_ms = max(length_ms, at_ms - reach.fixed_ms)
    remembered_ms = dedupe_ms + max(1000, dedupe_ms // 64) if dedupe_ms else 0
    return length_ms + remembered_ms if length_ms else 0


def _reach(top: language.Audience, by_id: Mapping[str, language.Audience], asked: bool) -> _Reach:
    """That of an audience, from those that it asks about up to itself; no recursion, chains may be long."""
    audiences = {**by_id, top.id: top}
    graph: dict[str, set[str]] = {}
    waiting = [top.id]
    while waiting:
        each = waiting.pop()
        if each not in graph:
            graph[each] = {other for other in language.references(audiences[each].rule) if other in audiences}
            waiting += graph[each]
    reaches: dict[str, _Reach] = {}
    try:
        for each in TopologicalSorter(graph).static_order():
            reaches[each] = _of_audience(audiences[each], reaches, top.id)
            most_ms = audiences[each].backfill.history_ms
            if asked and most_ms is not None and each != top.id:
                reaches[each] = reaches[each].at_most(most_ms)
    except CycleError:
        return _EVERYTHING
    return reaches[top.id]


def _of_audience(audience: language.Audience, others: Mapping[str, _Reach], top: str) -> _Reach:
    reach = _NOTHING
    for condition in language.conditions(audience.rule):
        reach = reach.also(_of_condition(condition, others))
    schedule = audience.schedule
    if schedule is None:
        return reach
    if schedule.kind == "once":  # computed at the cut; one that others ask about was computed who knows when
        return reach if audience.id == top else _EVERYTHING
    return reach.longer(longest_gap_ms(schedule) + _CLOCK_CHANGES_MS)


def _of_condition(condition: language.Condition, others: Mapping[str, _Reach]) -> _Reach:
    match condition:
        case language.AttributeCondition(test=test):
            return _of_attribute(test)
        case language.InAudience(audience=audience, for_ms=for_ms):
            return others.get(audience, _NOTHING).longer(for_ms or 0)
        case language.EventCondition(window=window) | language.NotFollowed(window=window):
            return _of_window(window)
        case language.Sequence(window=window):
            length_ms = _length_of_sequence(condition)
            return _EVERYTHING if length_ms is None else _of_window(window).before(length_ms)


def _of_attribute(test: language.Predicate) -> _Reach:
    """None, but for the changes of what lies inside of an attribute: the row has when the whole changed."""
    inside = any(each.operator == "changed_within" and len(each.path) > 1 for each in language.tests_of(test))
    return _EVERYTHING if inside else _NOTHING


def _of_window(window: language.Window) -> _Reach:
    match window:
        case language.Within(length_ms=length_ms):
            return _Reach(length_ms)
        case language.BetweenAgo(far_ms=far_ms):
            return _Reach(far_ms)
        case language.FromTo(from_ms=int(from_ms)):
            return _Reach(0, from_ms - 1)
        case language.Period(unit=unit, length=length, ago=ago):
            return _Reach((length + ago) * _LONGEST_MS[unit] + _CLOCK_CHANGES_MS)
        case language.FromTo() | language.SinceEntry() | None:
            return _EVERYTHING


def _length_of_sequence(sequence: language.Sequence) -> int | None:
    """How long it may last from its first step to its last; None: without a bound."""
    steps = [step.within_ms for step in sequence.steps[1:]]
    by_steps = None if None in steps else sum(each for each in steps if each is not None)
    bounds = [each for each in (by_steps, sequence.total_ms) if each is not None]
    return min(bounds, default=None)

"""Every instant at which the value of a rule could change by time alone; more than those that do no harm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from tests.model.calendars import compute_from, period_number, period_of, period_start
from tests.model.events import durations, matches
from tests.model.facts import Happened, Known
from tests.model.instants import LAST_MS, duration_ms
from tests.model.operators import DATED, anniversaries, zoned_ms

Json = Any
YEARS_AHEAD = 9
"""Anniversaries looked at: long enough for a 29 February."""


def leaves(rule: Json) -> Iterator[Json]:
    """The conditions of a rule."""
    for part in chain(rule.get("all", ()), rule.get("any", ()), rule.get("of", ())):
        yield from leaves(part)
    for part in rule.get("score", ()):
        yield from leaves(part["when"])
    if "not" in rule:
        yield from leaves(rule["not"])
    if rule.keys() & {"event", "sequence", "attribute", "audience"}:
        yield rule


def references(rule: Json) -> set[str]:
    """The audiences that a rule speaks of."""
    found = set()
    for leaf in leaves(rule):
        if "audience" in leaf:
            found.add(leaf["audience"])
        if isinstance(leaf.get("within"), dict):
            found.add(leaf["within"]["audience"])
    return found


def audience_timers(definition: Json, user: Known, after_ms: int, created_ms: int) -> set[int]:
    """Instants after ``after_ms`` at which the audience could change for the user, if nothing happens and no
    other audience changes."""
    zone = definition.get("timezone", "UTC")
    # Of what is past a batch audience may have seen nothing yet.
    earliest_ms = -(10**15) if definition.get("type") == "batch" else after_ms
    found = {
        timer
        for leaf in leaves(definition["rule"])
        for timer in leaf_timers(leaf, user, zone, after_ms)
        if timer > earliest_ms
    }
    if definition.get("type") != "batch":
        return found
    for event in user.events:
        found |= {event.applied_ms, event.time_ms + 1}
    found |= {applied_ms for applied_ms, _ in user.versions} | {user.first_ms}
    for name in references(definition["rule"]):
        found.update(user.stays.get(name, ()))
    schedule = definition.get("schedule", "daily")
    computed = {compute_from(schedule, zone, max(timer, after_ms + 1), created_ms) for timer in found}
    return {each for each in computed if each is not None}


def leaf_timers(leaf: Json, user: Known, zone: str, after_ms: int) -> Iterator[int]:
    if "audience" in leaf:
        stays = user.stays.get(leaf["audience"], ())
        yield from (each + duration_ms(leaf["for"]) for each in stays if "for" in leaf)
    elif "attribute" in leaf:
        yield from attribute_timers(leaf, user, zone, after_ms)
    elif "sequence" in leaf:
        last = leaf["sequence"][-1]
        yield from window_timers(leaf, named(last, user.events), zone)
    else:
        found = [each for each in user.events if matches(leaf, each, zone)]
        yield from window_timers(leaf, found, zone)
        for e in found:
            if "not_followed_by" in leaf:
                yield e.time_ms + duration_ms(leaf["for"])
            for kind in ("since_last", "since_first"):
                for length in lengths(leaf.get(kind, {})):
                    yield from (e.time_ms + length, e.time_ms + length + 1)


def named(pattern: Json, events: Iterable[Happened]) -> list[Happened]:
    """The events of the names, whatever their properties."""
    names = pattern["event"] if isinstance(pattern["event"], list) else [pattern["event"]]
    return [each for each in events if each.name in names or names == ["*"]]


def lengths(bounds: Json) -> Iterator[int]:
    for bound in bounds.values():
        found = durations(bound)
        yield from found if isinstance(found, list) else [found]


def window_timers(rule: Json, events: Iterable[Happened], zone: str) -> Iterator[int]:
    """When events come into the window and leave it."""
    if isinstance(rule.get("within"), str):
        yield from (e.time_ms + duration_ms(rule["within"]) for e in events)
    elif "between_ago" in rule:
        for length in map(duration_ms, rule["between_ago"]):
            yield from (e.time_ms + length for e in events)
    elif "period" in rule:
        unit, length, ago = period_of(rule["period"])
        for e in events:
            number = period_number(e.time_ms, unit, zone)
            yield from (period_start(number + behind, unit, zone) for behind in (ago, ago + length))


def attribute_timers(leaf: Json, user: Known, zone: str, after_ms: int) -> Iterator[int]:
    for applied_ms, attributes in user.versions:
        if "changed_within" in leaf:
            yield applied_ms + duration_ms(leaf["changed_within"])
        for name, operand in date_operators(leaf):
            for value in scalars(attributes):
                timers = date_timers(name, operand, value, zone, after_ms)
                yield from (each for each in timers if each <= LAST_MS)


def date_operators(rule: Json) -> Iterator[tuple[str, Json]]:
    """Those on an attribute, and on elements of its lists."""
    if isinstance(rule, list):
        yield from chain.from_iterable(map(date_operators, rule))
    elif isinstance(rule, dict):
        yield from (each for each in rule.items() if each[0] in DATED)
        yield from chain.from_iterable(map(date_operators, rule.values()))


def scalars(value: Json) -> Iterator[Json]:
    """Every one, however deep: one of them may be what an operator is about."""
    if isinstance(value, list | dict):
        yield from chain.from_iterable(map(scalars, value.values() if isinstance(value, dict) else value))
    else:
        yield value


def date_timers(name: str, operand: Json, value: Json, zone: str, after_ms: int) -> Iterator[int]:
    instant = zoned_ms(value, zone)
    if instant is None:
        return
    if name == "anniversary":
        within_ms = duration_ms(operand["within"])
        for start, end in anniversaries(value, zone, after_ms, YEARS_AHEAD):
            yield from (start - within_ms, end)
        return
    ahead = name in ("in_next", "between_next")
    for length in map(duration_ms, operand if isinstance(operand, list) else [operand]):
        timer = instant - length if ahead else instant + length
        yield from (timer, timer + 1)
    if ahead:
        yield from (instant, instant + 1)

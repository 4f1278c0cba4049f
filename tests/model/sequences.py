"""Section 5: sequences, by trying all choices of events, and "followed by nothing"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.model.events import counts, matches
from tests.model.facts import Happened, View
from tests.model.instants import duration_ms

Json = Any


def sequence_truth(rule: Json, view: View) -> bool:
    events = sorted(view.events(), key=lambda each: each.order)
    return any(
        counts(rule, chosen[-1], view) and nothing_between(rule, chosen, events, view)
        for chosen in choices(rule, [], events, view)
    )


def choices(
    rule: Json, chosen: list[Happened], events: list[Happened], view: View
) -> Iterator[list[Happened]]:
    """All ways to go on from the steps chosen so far that keep to ``within``, ``total`` and ``where``."""
    steps = rule["sequence"]
    if len(chosen) == len(steps):
        yield chosen
        return
    step = steps[len(chosen)]
    refs = {
        earlier["as"]: event.properties
        for earlier, event in zip(steps, chosen, strict=False)
        if "as" in earlier
    }
    for event in events:
        if chosen and event.order <= chosen[-1].order:
            continue
        if chosen and "within" in step and event.time_ms - chosen[-1].time_ms > duration_ms(step["within"]):
            continue
        if chosen and "total" in rule and event.time_ms - chosen[0].time_ms > duration_ms(rule["total"]):
            continue
        if matches(step, event, view.zone, refs):
            yield from choices(rule, [*chosen, event], events, view)


def nothing_between(rule: Json, chosen: list[Happened], events: list[Happened], view: View) -> bool:
    """Choice: what is strictly between two events is so in the order of time, ties by arrival."""
    if "without" not in rule:
        return True
    first, last = chosen[0].order, chosen[-1].order
    return not any(first < e.order < last and matches(rule["without"], e, view.zone) for e in events)


def not_followed_truth(rule: Json, view: View) -> bool:
    return any(
        counts(rule, a, view)
        and a.time_ms + duration_ms(rule["for"]) <= view.at_ms
        and not followed(rule, a, view)
        for a in view.events()
        if matches(rule, a, view.zone)
    )


def followed(rule: Json, a: Happened, view: View) -> bool:
    until_ms = view.at_ms if rule.get("still") else a.time_ms + duration_ms(rule["for"])
    refs = {"a": a.properties}
    return any(
        a.order < f.order and f.time_ms <= until_ms and matches(rule["not_followed_by"], f, view.zone, refs)
        for f in view.events()
    )

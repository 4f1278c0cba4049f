"""Conditions: events with windows and aggregates, sequences, followed by nothing, attributes."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.model import duration_ms
from tests.strategies.predicates import (
    ORDERED,
    PROPERTIES,
    SCALARS,
    dated,
    mostly_without,
    one,
    pairs,
    tests,
    timeless,
    wheres,
)
from tests.strategies.scales import BOUNDARIES, Scale

Json = Any
EVENTS = ["view", "buy", "rate"]
ATTRIBUTES = ["x", "y", "x.n", "d"]
PERIODS = ["today", "yesterday", "this_week", "last_week", "this_month", "last_month", "this_year"]
EDGES = [*BOUNDARIES[:4], BOUNDARIES[0][:10], BOUNDARIES[2][:10]]
STEPS = ("s0", "s1", "s2", "s3")
COMPARISONS = [*ORDERED, "eq", "ne"]

event_names = st.sampled_from([*EVENTS, *EVENTS, "*", ["view", "buy"]])
properties = st.sampled_from(PROPERTIES)
whole = st.integers(0, 3)
counted = st.one_of(
    one(COMPARISONS, whole),
    pairs([0, 1, 2, 3]).map(lambda pair: {"between": pair}),
    st.tuples(whole, whole).map(lambda pair: {"gte": pair[0], "ne": pair[1]}),
)
SUMS = [0, 0.3, 1, 2.5, -1]
summed = st.one_of(one(COMPARISONS, st.sampled_from(SUMS)), pairs(SUMS).map(lambda pair: {"between": pair}))


def with_property(kind: str, bounds: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.tuples(properties, bounds).map(lambda pair: {kind: {"property": pair[0], **pair[1]}})


@cache
def lengths(scale: Scale) -> st.SearchStrategy[Json]:
    durations = st.sampled_from(scale.durations)
    between = st.tuples(durations, durations).map(lambda pair: {"between": sorted(pair, key=duration_ms)})
    return one(COMPARISONS, durations) | between


@cache
def aggregates(scale: Scale) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.just({}),
        counted.map(lambda bound: {"count": bound}),
        counted.map(lambda bound: {"days": bound}),
        with_property("distinct", counted),
        st.sampled_from(["sum", "avg", "min", "max"]).flatmap(lambda kind: with_property(kind, summed)),
        st.sampled_from(["first", "last"]).flatmap(lambda kind: with_property(kind, tests(scale))),
        one(["since_last", "since_first"], lengths(scale)),
    )


def from_to(ends: list[str]) -> Json:
    return {"from": ends[0], "to": ends[1]}


@cache
def plain_windows(scale: Scale) -> st.SearchStrategy[Json]:
    """Those that sequences have, too."""
    last = st.tuples(st.integers(1, 3), st.sampled_from(["hour", "day", "week", "month"]))
    spans = [[at, to] for at in BOUNDARIES for to in BOUNDARIES if at < to]
    return st.one_of(
        st.sampled_from(scale.durations).map(lambda length: {"within": length}),
        st.sampled_from(scale.durations).map(lambda length: {"within": length}),
        one(["from", "to"], st.sampled_from(EDGES)),
        st.sampled_from(spans).map(from_to),
        st.sampled_from(PERIODS).map(lambda name: {"period": name}),
        last.map(lambda pair: {"period": {"last": pair[0], "unit": pair[1]}}),
    )


@cache
def windows(scale: Scale, audiences: tuple[str, ...]) -> st.SearchStrategy[Json]:
    spans = [[far, near] for far in scale.durations for near in scale.durations]
    spans = [pair for pair in spans if duration_ms(pair[0]) > duration_ms(pair[1])]
    between = st.sampled_from(spans).map(lambda pair: {"between_ago": pair})
    entry = st.sampled_from(audiences or ("-",)).map(lambda name: {"within": {"audience": name}})
    kinds = [st.just({}), plain_windows(scale), plain_windows(scale), between]
    return st.one_of(*kinds, *([entry, entry] if audiences else []))


@cache
def patterns(scale: Scale, steps: tuple[str, ...] = ()) -> st.SearchStrategy[Json]:
    where = wheres(scale, steps).map(lambda each: {"where": each})
    wanted = where | st.just({}) if steps else mostly_without(where)
    return st.tuples(event_names, wanted).map(lambda pair: {"event": pair[0]} | pair[1])


@cache
def event_conditions(scale: Scale, audiences: tuple[str, ...]) -> st.SearchStrategy[Json]:
    return st.tuples(patterns(scale), aggregates(scale), windows(scale, audiences)).map(
        lambda parts: parts[0] | parts[1] | parts[2]
    )


@st.composite
def sequences(draw: st.DrawFn, scale: Scale) -> Json:
    durations = st.sampled_from(scale.durations)
    steps: list[Json] = []
    for at in range(draw(st.sampled_from([2, 2, 2, 3, 4]))):
        step = draw(patterns(scale, STEPS[:at]))
        if at and draw(st.booleans()):
            step["within"] = draw(durations)
        steps.append({**step, "as": STEPS[at]})
    rule: Json = {"sequence": steps}
    if draw(st.integers(0, 2)) == 0:
        rule["without"] = draw(patterns(scale))
    if draw(st.integers(0, 2)) == 0:
        rule["total"] = draw(durations)
    return rule | draw(plain_windows(scale) | st.just({}))


@cache
def not_followed(scale: Scale) -> st.SearchStrategy[Json]:
    return st.tuples(
        patterns(scale),
        patterns(scale) | patterns(scale, ("a",)),
        st.sampled_from(scale.durations),
        st.just({}) | plain_windows(scale),
    ).map(lambda each: each[0] | {"not_followed_by": each[1], "for": each[2]} | each[3])


@cache
def attribute_conditions(scale: Scale) -> st.SearchStrategy[Json]:
    names = st.sampled_from(ATTRIBUTES)
    changed = st.sampled_from(scale.durations).map(lambda length: {"changed_within": length})
    tested = st.tuples(names, tests(scale)).map(lambda pair: {"attribute": pair[0]} | pair[1])
    on_dates = dated(scale) | st.tuples(dated(scale), timeless).map(lambda pair: pair[0] | pair[1])
    return st.one_of(
        tested,
        on_dates.map(lambda test: {"attribute": "d"} | test),
        st.tuples(names, changed, mostly_without(tests(scale))).map(
            lambda each: {"attribute": each[0]} | each[1] | each[2]
        ),
    )


__all__ = [
    "ATTRIBUTES",
    "EVENTS",
    "SCALARS",
    "attribute_conditions",
    "event_conditions",
    "not_followed",
    "sequences",
]

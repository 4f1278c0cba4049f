"""Rules and audiences that refer to each other."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.strategies.conditions import attribute_conditions, event_conditions, not_followed, sequences
from tests.strategies.predicates import one
from tests.strategies.scales import ZONES, Scale

Json = Any
SCHEDULES = [
    "once", "daily", "weekly", "monthly",
    "0 6 * * *", "30 2 * * *", "*/30 * * * *", "0 0 1 * *", "15 1 * * sun",
]  # fmt: skip
IDS = ["d", "b", "e", "a", "c"]
"""An audience may refer to those before it, whose ids come before and after its own in the alphabet."""


@cache
def in_audience(scale: Scale, audiences: tuple[str, ...]) -> st.SearchStrategy[Json]:
    names = st.sampled_from(audiences).map(lambda name: {"audience": name})
    lengths = st.sampled_from(scale.durations).map(lambda length: {"for": length})
    return names | st.tuples(names, lengths).map(lambda pair: pair[0] | pair[1])


@st.composite
def scores(draw: st.DrawFn, rules: st.SearchStrategy[Json]) -> Json:
    """With a bound that some sum of the points can meet, for others are refused."""
    points = st.sampled_from([1, 2, -1, 0.1, 0.2, 0.5, 3])
    parts = [{"when": draw(rules), "points": draw(points)} for _ in range(draw(st.integers(1, 3)))]
    least = sum(part["points"] for part in parts if part["points"] < 0)
    most = sum(part["points"] for part in parts if part["points"] > 0)
    near = [0, 1, 0.3, 2, *(part["points"] for part in parts)]
    inside = [each for each in near if least < each < most]
    bounds: list[Json] = [{"gte": 0.3}] if most >= 0.3 else [{"lte": 1}]
    bounds += [{name: each} for name in ("gt", "gte", "lt", "lte") for each in inside]
    bounds += [{"between": [each, each + 1]} for each in inside]
    return {"score": parts} | draw(st.sampled_from(bounds))


@cache
def rules(scale: Scale, audiences: tuple[str, ...]) -> st.SearchStrategy[Json]:
    events = event_conditions(scale, audiences)
    kinds = [events, events, events, sequences(scale), not_followed(scale), attribute_conditions(scale)]
    kinds += [in_audience(scale, audiences)] * 2 if audiences else []
    leaves = st.one_of(*kinds)

    def composed(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
        some = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            inner.map(lambda part: {"not": part}),
            one(["all", "any"], some),
            some.flatmap(
                lambda parts: st.integers(1, len(parts)).map(lambda n: {"at_least": n, "of": parts})
            ),
            scores(inner),
        )

    return st.recursive(leaves, composed, max_leaves=4)


@st.composite
def audiences(draw: st.DrawFn, scale: Scale) -> list[Json]:
    zones = draw(st.sampled_from([[zone] for zone in ZONES] + [ZONES]))
    found: list[Json] = []
    for at in range(draw(st.integers(1, 4))):
        definition = {"id": IDS[at], "name": IDS[at].upper(), "timezone": draw(st.sampled_from(zones))}
        if draw(st.integers(0, 3)) == 0:
            definition |= {"type": "batch", "schedule": draw(st.sampled_from(SCHEDULES))}
        definition["rule"] = draw(rules(scale, tuple(each["id"] for each in found)))
        found.append(definition)
    return found

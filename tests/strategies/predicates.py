"""Operators with their operands, and ``where``."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.strategies.scales import Scale

Json = Any
NUMBERS = [0, 1, 2, -1, 0.1, 0.2, 0.3, 1.0, 2.5, 1e16, -1e16]
SCALARS = [0, 1, 1.0, 2, "1", "a", "ab", "AB", True, False, None, "2024-05-01", "2024-05-01T12:00:00Z"]
VALUES = [*SCALARS, *NUMBERS, ["a", 1], [], {"n": 1}, {"n": "a"}]
"""What properties and attributes have."""
PROPERTIES = ["p", "q", "o.n"]
ORDERED = ["gt", "gte", "lt", "lte"]
WITH_REF = ["eq", "ne", *ORDERED, "contains", "not_contains", "starts_with", "ends_with", "icontains", "ieq"]

scalars = st.sampled_from(SCALARS)
lists = st.lists(scalars, min_size=1, max_size=3)
texts = st.sampled_from(["a", "A", "ab", ""])
bounds = st.sampled_from([0, 1, 2, 0.5, "2024-05-01T06:00:00+01:00"])


def pairs(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(st.sampled_from(values), st.sampled_from(values)).map(sorted)


def one(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """A map of one of the keys to one of the values."""
    return st.tuples(st.sampled_from(keys), values).map(lambda pair: dict([pair]))


@cache
def dated(scale: Scale) -> st.SearchStrategy[Json]:
    durations = st.sampled_from(scale.durations)
    return st.one_of(
        one(["older_than", "newer_than"], durations),
        durations.map(lambda length: {"anniversary": {"within": length}}),
    )


timeless = st.one_of(
    one(["eq", "ne", "contains", "not_contains"], scalars),
    one(["in", "not_in", "any_of", "all_of"], lists),
    one(ORDERED, bounds),
    one(["between"], pairs([0, 1, 2]) | st.just(["2024-05-01", "2024-05-02"])),
    one(["starts_with", "ends_with", "icontains", "ieq", "matches"], texts),
    one(["exists"], st.booleans()),
)


@cache
def tests(scale: Scale) -> st.SearchStrategy[Json]:
    """Operators on one value; mostly one of them."""
    each = st.integers(0, 4).flatmap(lambda at: timeless if at else dated(scale))
    return each | st.tuples(each, each).map(lambda pair: pair[0] | pair[1])


def refs(steps: tuple[str, ...]) -> st.SearchStrategy[Json]:
    """An operator that refers to an earlier event."""
    targets = [{"ref": f"{step}.{name}"} for step in steps for name in PROPERTIES]
    return one(WITH_REF, st.sampled_from(targets))


@cache
def wheres(scale: Scale, steps: tuple[str, ...] = ()) -> st.SearchStrategy[Json]:
    """``steps``: those that may be referred to, which about half of the leaves then do."""
    plain = tests(scale) | st.sampled_from(["a", 1, True, ["a", 1]])
    tested = plain | refs(steps) if steps else plain
    leaf = st.dictionaries(st.sampled_from(PROPERTIES), tested, min_size=1, max_size=2)
    return st.one_of(
        leaf,
        leaf,
        leaf.map(lambda part: {"not": part}),
        one(["all", "any"], st.lists(leaf, min_size=1, max_size=2)),
    )


def mostly_without(part: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Three times of four nothing."""
    return st.integers(0, 3).flatmap(lambda some: part if some == 0 else st.just({}))

"""What a condition keeps, and what bounds it (docs/semantics.md, section 10)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.aggregates.distincts import distinct_value
from rules.conditions.build import build_condition
from rules.decide.take import take
from rules.model import language
from rules.predicates.comparisons import comparison_of, count_bound
from rules.state.condition import AnyCondition, Event
from rules.state.row import Row
from tables.codec import encode_row
from tests.strategies.fuzzing import usual

T = 1_700_000_000_000


def condition(
    kind: Any, within: int | None, max_samples: int = 1000, /, **comparisons: Any
) -> tuple[AnyCondition, Row]:
    compared = tuple(language.Comparison(name, bound) for name, bound in comparisons.items())  # type: ignore[arg-type]
    aggregate = language.Aggregate(kind, None if kind == "count" else ("p",), compared)
    window = None if within is None else language.Within(within)
    return build_condition(
        "default", language.EventCondition(("e",), None, aggregate, window), max_samples
    ), Row(0)


def see(built: AnyCondition, row: Row, event_ms: int, value: Any = None, now_ms: int = 0) -> None:
    at_ms = now_ms or event_ms
    take(built, row, Event("e", {"p": value}, event_ms, at_ms), at_ms)


@pytest.mark.parametrize(
    ("comparisons", "bound"),
    [
        ({"gte": 3}, 3), ({"gt": 3}, 4), ({"lt": 3}, 3), ({"lte": 3}, 4), ({"eq": 3}, 4), ({"ne": 3}, 4),
        ({"between": (1, 3)}, 4), ({"gte": 0}, 1), ({"lt": 0}, 1), ({"gte": 2, "ne": 5}, 6),
    ],
)  # fmt: skip
def test_no_count_beyond_the_bound_compares_otherwise(comparisons: dict[str, Any], bound: int) -> None:
    compared = tuple(language.Comparison(name, operand) for name, operand in comparisons.items())  # type: ignore[arg-type]
    assert count_bound(compared) == bound
    compare = comparison_of(compared)
    assert len({compare(number) for number in range(bound, bound + 20)}) == 1


@pytest.mark.parametrize("kind", ["count", "distinct"])
@pytest.mark.parametrize("within", [None, 1000])
@pytest.mark.parametrize("comparisons", [{"gte": 3}, {"eq": 2}, {"lt": 3}, {"between": (1, 2)}])
def test_the_state_stays_as_small_as_the_comparisons_allow(
    kind: str, within: int | None, comparisons: dict[str, Any]
) -> None:
    built, row = condition(kind, within, **comparisons)
    for number in range(200):
        see(built, row, T + number, f"v{number}")
    (state,) = row.conditions.values()
    flat = [each for part in state for each in (part if isinstance(part, list | str) else [part])]
    assert len(flat) <= 6


def test_a_window_lets_expired_samples_go() -> None:
    for kind in ("sum", "distinct"):
        built, row = condition(kind, 10, gte=3)
        see(built, row, T, 1)
        see(built, row, T + 5, "x" if kind == "sum" else None, now_ms=T + 100)
        assert row.conditions == {}


def test_a_sum_is_exact_however_samples_come_and_go() -> None:
    built, row = condition("sum", 10, eq=0.3)
    for at, value in ((0, 1e16), (1, 0.1), (2, 0.2), (3, -1e16), (4, 1e300), (5, True), (6, "7")):
        see(built, row, T + at, value)
    assert built.value(row, row.conditions[built.key], T + 6)
    assert not built.value(row, row.conditions[built.key], T + 10)
    assert built.next_timer(row, row.conditions[built.key], T + 6) == T + 10
    assert built.value(row, row.conditions[built.key], T + 13) is False


def test_the_oldest_samples_of_a_sum_go_beyond_the_limit_and_are_counted() -> None:
    built, row = condition("sum", 1000, 10, gte=10)
    for number in range(25):
        see(built, row, T + number, 1)
    assert len(row.conditions[built.key][0]) == 10
    assert built.dropped_samples == 15
    assert built.value(row, row.conditions[built.key], T + 25)


def test_an_event_counts_until_exactly_its_time_plus_the_window() -> None:
    for comparisons in ({"gte": 1}, {"eq": 1}, {"ne": 0}):
        built, row = condition("count", 10, **comparisons)
        see(built, row, T)
        state = row.conditions[built.key]
        assert (built.value(row, state, T + 9), built.value(row, state, T + 10)) == (True, False)
        assert built.next_timer(row, state, T) == T + 10
        assert built.next_timer(row, state, T + 10) is None


def test_values_are_told_apart_by_type_but_not_by_spelling() -> None:
    values = [1, 1.0, True, "1", 1.5, False, 0, -0.0, "\0true", "x" * 65, "x" * 66, None, [1], {"a": 1}]
    told = [distinct_value(value) for value in values]
    assert len({(type(each), each) for each in told if each is not None}) == 9
    assert told[-3:] == [None, None, None]
    assert all(len(each) <= 64 for each in told if isinstance(each, str))


samples = st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from([0, 1, 2, -1, 0.1, "a", None]))
KINDS = ["count", "sum", "distinct"]
BOUNDS = [{"gte": 2}, {"gt": 0}, {"lt": 2}, {"lte": 1}, {"eq": 1}, {"ne": 1}, {"between": (1, 2)}]


@settings(max_examples=usual(300), deadline=None)
@given(st.lists(samples, max_size=12), st.sampled_from(KINDS), st.sampled_from(BOUNDS), st.integers(1, 9))
def test_the_next_flip_is_the_first_instant_with_another_value(
    log: list[tuple[int, int, Any]], kind: str, bounds: dict[str, Any], within: int
) -> None:
    built, row = condition(kind, within, **bounds)
    now_ms = T
    for step, late, value in log:
        now_ms += step
        see(built, row, now_ms - late, value, now_ms)
    state = row.conditions.get(built.key)
    if state is None:
        return
    for at_ms in range(now_ms, now_ms + 12):
        value = built.value(row, state, at_ms)
        others = (each for each in range(at_ms + 1, now_ms + 30) if built.value(row, state, each) != value)
        assert built.next_timer(row, state, at_ms) == next(others, None)


@pytest.mark.parametrize(
    ("kind", "within", "events"),
    [
        ("sum", None, [(9, 1), (9, "no number"), (9, 0)]),
        ("sum", 100, [(9, 1), (9, "no number")]),
        ("distinct", None, [(9, "a"), (9, "a"), (9, None)]),
        ("distinct", 100, [(9, "a"), (9, "a"), (8, "a"), (9, None)]),
        ("count", 100, [(7, 0), (8, 0), (9, 0), (6, 0), (7, 0)]),
        ("avg", 100, [(9, 1), (9, "no number")]),
        ("max", None, [(9, 3), (9, 2), (9, 3)]),
    ],
)
def test_an_event_that_leaves_the_state_as_it_was_changes_nothing_in_the_row(
    kind: str, within: int | None, events: list[tuple[int, Any]]
) -> None:
    built, row = condition(kind, within, gte=3)
    changes, rows = [], []
    for at_ms, value in events:
        effect = take(built, row, Event("e", {"p": value}, T + at_ms, T + 10), T + 9)
        changes.append(effect.is_changed)
        rows.append(encode_row(row))
    first = changes.index(False)
    assert first > 0
    assert not any(changes[first:])
    assert set(rows[first:]) == {rows[first - 1]}

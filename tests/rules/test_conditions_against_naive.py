"""Every condition that keeps state, against an evaluation of every event at every instant (``naive``)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import model
from rules.condition import Condition, Observe
from rules.conditions import build_condition
from rules.row import Row
from tables.codec import decode_row, encode_row
from tests.rules.naive import Event, evaluate

T = 1_700_000_000_000
AHEAD_MS = 40
"""Longer than every window, bound and delay of the strategies together."""

numbers_first = [1, 2, 1, 0, -1, 0.1, 0.2, 1.0, 3]
odd = [True, "a", "1", None, [1], 2**63, "2023-11-14T22:13:20.005+00:00"]
values = st.sampled_from([*numbers_first, *numbers_first, *odd])
few = st.sampled_from([1, 1, 2, "a", None])
properties = st.one_of(
    st.fixed_dictionaries({"p": values}),
    st.fixed_dictionaries({"p": few, "q": few}),
    st.fixed_dictionaries({"p": values}, optional={"q": values}),
    st.just({}),
)


def logs(names: list[str]) -> st.SearchStrategy[list[Any]]:
    """(ms since the one before, ms late, name, properties) of each event."""
    late = st.sampled_from([0, 0, 0, 0, 1, 3, 9, 20])
    one = st.tuples(st.sampled_from([0, 1, 1, 2, 3, 5]), late, st.sampled_from(names), properties)
    return st.lists(one, min_size=4, max_size=14)


log = logs(["x", "x", "x", "y", "other"])
steps_log = logs(["x", "x", "y", "y", "z", "other"])
small = st.integers(1, 12)


def observe_of(built: Condition, name: str) -> Observe | None:
    if name not in built.names and "*" not in built.names:
        return None
    return built.observer_for(name if name in built.names else "*")


class Run:
    """One condition that takes events, held against the naive evaluation after each."""

    def __init__(self, source: Any, zone: str = "UTC", max_samples: int = 1000) -> None:
        self.source, self.zone = source, zone
        self.built = build_condition("default", source, max_samples, zone)
        self.row = Row(
            now_ms=T, conditions={}, audiences={}, attributes={}, changed_ms={}, identities={}, applied={}
        )
        self.events: list[Event] = []

    def take(self, event_ms: int, name: str, properties: dict[str, Any], now_ms: int) -> list[int]:
        self.events.append(Event(len(self.events), event_ms, name, properties))
        touched: list[int] = []
        observe = observe_of(self.built, name)
        if observe is not None:
            decided_ms = now_ms if self.row.now_ms == now_ms else now_ms - 1
            observe(self.row, properties, event_ms, decided_ms, now_ms, touched)
        self.row = decode_row(encode_row(self.row))
        self.row.now_ms = now_ms
        return touched

    def told(self, at_ms: int) -> bool:
        return self.built.value(self.row.conditions.get(self.built.key), at_ms)

    def truth(self, at_ms: int) -> bool:
        return evaluate(self.source, self.events, at_ms, self.zone)

    def next_flip(self, after_ms: int) -> int | None:
        state = self.row.conditions.get(self.built.key)
        return None if state is None else self.built.next_flip(state, after_ms)


def check(source: Any, log: list[tuple[int, int, str, dict[str, Any]]]) -> None:
    run, now_ms, due_ms = Run(source), T, None
    for step, late, name, found in log:
        now_ms += step
        before = [run.truth(now_ms - 1 if step else now_ms), run.truth(now_ms)]
        touched = run.take(now_ms - late, name, found, now_ms)
        truths = [run.truth(at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)]
        assert [run.told(at_ms) for at_ms in range(now_ms, now_ms + AHEAD_MS)] == truths
        flips = [now_ms + at for at in range(1, AHEAD_MS) if truths[at] != truths[at - 1]]
        after_ms = now_ms - 1
        for flip in [*flips, None]:
            after_ms = max(after_ms, now_ms)
            assert run.next_flip(after_ms) == flip
            after_ms = flip or after_ms
        # Whoever isn't told to look again relies on the flips that were foreseen.
        if due_ms is not None and due_ms <= now_ms:
            due_ms = None
        elif not touched:
            assert truths[0] == before[0] or before[0] != before[1]
            assert not flips or (due_ms is not None and due_ms <= flips[0])
        if touched or due_ms is None:
            due_ms = flips[0] if flips else None
        elif flips:
            due_ms = min(due_ms, flips[0])


wheres = st.sampled_from(
    [
        None,
        None,
        None,
        model.Test(("q",), "exists", True),
        model.Test(("q",), "eq", 1),
        model.NotTest(model.Test(("p",), "older_than", 3)),
        model.AllTests((model.Test(("p",), "older_than", 3), model.Test(("q",), "ne", 1))),
    ]
)
names = st.sampled_from([("x",), ("x",), ("x", "y"), ("*",)])
windows = st.one_of(
    st.none(),
    st.builds(model.Within, small),
    st.tuples(small, small).map(lambda ends: model.BetweenAgo(ends[0] + ends[1], ends[0])),
    st.tuples(small, small).map(lambda ends: model.BetweenAgo(ends[0] + ends[1], ends[0])),
    st.builds(model.FromTo, st.sampled_from([None, T - 5, T + 3]), st.sampled_from([None, T + 8, T + 20])),
)
operators = ["gt", "gte", "lt", "lte", "eq", "ne"]


def comparisons(bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[model.Comparison, ...]]:
    one = st.builds(model.Comparison, st.sampled_from(operators), bounds)
    two = st.tuples(bounds, bounds).map(lambda ends: model.Comparison("between", (min(ends), max(ends))))
    return st.lists(st.one_of(one, two), min_size=1, max_size=2).map(tuple)


wholes = st.sampled_from([1, 2, 2, 3, 0, 4])
numbers = st.sampled_from([0, 1, 2, 3, 0.1, 0.3, 1.5, -1])
tests = st.sampled_from(
    [
        model.Test(("p",), "eq", 1),
        model.Test(("p",), "ne", 1),
        model.Test(("p",), "exists", False),
        model.AllTests((model.Test(("p",), "gt", 0), model.Test(("p",), "ne", 2))),
        model.Test(("p",), "older_than", 5),
    ]
)
AGGREGATES: dict[str, st.SearchStrategy[model.Aggregate]] = {
    "count": st.builds(model.Aggregate, st.just("count"), st.none(), comparisons(wholes)),
    "sum": st.builds(model.Aggregate, st.just("sum"), st.just(("p",)), comparisons(numbers)),
    "avg": st.builds(model.Aggregate, st.just("avg"), st.just(("p",)), comparisons(numbers)),
    "min": st.builds(model.Aggregate, st.just("min"), st.just(("p",)), comparisons(numbers)),
    "max": st.builds(model.Aggregate, st.just("max"), st.just(("p",)), comparisons(numbers)),
    "distinct": st.builds(model.Aggregate, st.just("distinct"), st.just(("p",)), comparisons(wholes)),
    "days": st.builds(model.Aggregate, st.just("days"), st.none(), comparisons(wholes)),
    "first": st.builds(model.Aggregate, st.just("first"), st.just(("p",)), st.just(()), tests),
    "last": st.builds(model.Aggregate, st.just("last"), st.just(("p",)), st.just(()), tests),
    "since_first": st.builds(model.Aggregate, st.just("since_first"), st.none(), comparisons(small)),
    "since_last": st.builds(model.Aggregate, st.just("since_last"), st.none(), comparisons(small)),
}


@pytest.mark.parametrize("kind", AGGREGATES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_aggregates_over_windows(kind: str, data: st.DataObject) -> None:
    check_aggregate(kind, data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", AGGREGATES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_thousands_of_aggregates_over_windows(kind: str, data: st.DataObject) -> None:
    check_aggregate(kind, data)


def check_aggregate(kind: str, data: st.DataObject) -> None:
    aggregate = data.draw(AGGREGATES[kind])
    source = model.EventCondition(data.draw(names), data.draw(wheres), aggregate, data.draw(windows))
    check(source, data.draw(log))


patterns = st.builds(model.EventPattern, names, st.sampled_from([None, model.Test(("q",), "eq", 1)]))
one_name = st.sampled_from([("x",), ("y",), ("z",), ("x", "y"), ("*",)])
last_windows = st.one_of(
    st.none(),
    st.builds(model.Within, small),
    st.builds(model.FromTo, st.just(T + 2), st.sampled_from([None, T + 20])),
)


@st.composite
def sequences(draw: st.DrawFn) -> model.Sequence:
    steps = []
    size = draw(st.sampled_from([2, 2, 3, 3, 4]))
    distinct = draw(st.booleans())
    for number in range(size):
        where: Any = draw(st.sampled_from([None, None, None, model.Test(("p",), "exists", True)]))
        if number and draw(st.integers(0, 2)) == 0:
            ref = model.Ref(f"s{draw(st.integers(0, number - 1))}", (draw(st.sampled_from(["p", "q"])),))
            test: Any = model.Test(("p",), draw(st.sampled_from(["eq", "eq", "ne", "gt"])), ref)
            if draw(st.integers(0, 3)) == 0:
                test = model.AnyTest((test, model.Test(("q",), "eq", 1)))
            where = test if where is None else model.AllTests((where, test))
        event = model.EventPattern((("x", "y", "z", "x")[number],) if distinct else draw(one_name), where)
        within_ms = draw(st.one_of(st.none(), small)) if number else None
        steps.append(model.Step(event, within_ms, f"s{number}"))
    return model.Sequence(
        tuple(steps),
        draw(
            st.one_of(
                st.none(),
                st.none(),
                st.builds(model.EventPattern, st.sampled_from([("z",), ("y",)]), st.none()),
            )
        ),
        draw(st.one_of(st.none(), st.none(), st.integers(1, 20))),
        draw(last_windows),
    )


@settings(max_examples=100, deadline=None)
@given(sequences(), steps_log)
def test_sequences(source: model.Sequence, log: list[Any]) -> None:
    check(source, log)


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(sequences(), steps_log)
def test_thousands_of_sequences(source: model.Sequence, log: list[Any]) -> None:
    check(source, log)


@st.composite
def not_followed(draw: st.DrawFn) -> model.NotFollowed:
    where: Any = draw(
        st.sampled_from(
            [
                None,
                model.Test(("q",), "eq", 1),
                model.Test(("p",), "eq", model.Ref("a", ("p",))),
                model.NotTest(model.Test(("p",), "eq", model.Ref("a", ("q",)))),
                model.AllTests(
                    (model.Test(("q",), "ne", 1), model.Test(("p",), "gt", model.Ref("a", ("p",))))
                ),
            ]
        )
    )
    return model.NotFollowed(
        draw(patterns), model.EventPattern(draw(one_name), where), draw(small), draw(last_windows)
    )


@settings(max_examples=150, deadline=None)
@given(not_followed(), steps_log)
def test_followed_by_nothing(source: model.NotFollowed, log: list[Any]) -> None:
    check(source, log)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(not_followed(), steps_log)
def test_thousands_followed_by_nothing(source: model.NotFollowed, log: list[Any]) -> None:
    check(source, log)


def step(name: str, within_ms: int | None = None, where: Any = None, called: str | None = None) -> model.Step:
    return model.Step(model.EventPattern((name,), where), within_ms, called)


def test_a_later_chain_with_an_earlier_beginning_beats_none_that_began_later() -> None:
    same = model.Test(("p",), "eq", model.Ref("s", ("p",)))
    source = model.Sequence((step("x", called="s"), step("y", where=same), step("z", 5)), None, 10, None)
    run = Run(source)
    for at, name, p in ((0, "x", 1), (8, "x", 2), (9, "y", 2), (10, "y", 1), (12, "z", 0)):
        run.take(T + at, name, {"p": p}, T + at)
    assert run.told(T + 12)
    assert run.truth(T + 12)


def test_a_late_event_that_breaks_the_latest_chain_brings_the_flip_forward() -> None:
    source = model.Sequence((step("x"), step("y")), model.EventPattern(("z",), None), None, model.Within(30))
    run = Run(source)
    for at, name in ((0, "x"), (1, "y"), (5, "x"), (10, "y")):
        run.take(T + at, name, {}, T + at)
    assert run.next_flip(T + 10) == T + 40
    assert run.take(T + 7, "z", {}, T + 11)
    assert run.next_flip(T + 11) == T + 31


def test_a_sequence_keeps_little_however_many_events_come() -> None:
    plain = (step("x"), step("y"), step("z"))
    for steps, window, names, most in (
        (plain, None, "xy", 20),
        (plain, None, "xyz", 1),
        (plain[:2], model.Within(10**9), "xy", 3),
        ((step("x"), step("y", 5), step("z", 5)), model.Within(10**6), "xyz", 20),
        ((step("x"), step("y", 5), step("z", 5)), None, "xyz", 1),
    ):
        run = Run(model.Sequence(steps, None, None, window))
        for number in range(600):
            run.take(T + number, names[number % len(names)], {}, T + number)
        (state,) = run.row.conditions.values()
        assert max(map(len, state)) <= most, (window, names)
        assert run.built.dropped_samples == 0


def test_the_oldest_events_go_beyond_the_limit_and_are_counted() -> None:
    x, y = model.EventPattern(("x",), None), model.EventPattern(("y",), None)
    sources: list[Any] = [
        model.Sequence((step("y"), step("x"), step("x", 10)), y, None, None),
        model.NotFollowed(x, y, 5),
        model.EventCondition(
            ("x",), None, model.Aggregate("avg", ("p",), (model.Comparison("gte", 1),)), model.Within(10**9)
        ),
    ]
    for source in sources:
        run = Run(source, max_samples=10)
        for number in range(25):
            run.take(T + number * 100, "x", {"p": 1}, T + number * 100)
        (state,) = run.row.conditions.values()
        assert max(map(len, state)) == 10
        assert run.built.dropped_samples == 15


def test_followers_close_to_each_other_are_not_all_kept() -> None:
    x, y = model.EventPattern(("x",), None), model.EventPattern(("y",), None)
    run = Run(model.NotFollowed(x, y, 100))
    for number in range(1000):
        run.take(T + number, "y", {}, T + number)
    (state,) = run.row.conditions.values()
    assert len(state[1]) < 25
    assert not run.take(T + 500, "x", {}, T + 1000)
    assert not run.told(T + 2000)
    assert run.take(T + 999, "x", {}, T + 1000)
    assert run.told(T + 2000)

"""Sequences and followed by nothing: what they keep, and cases that chance hardly makes."""

from __future__ import annotations

from typing import Any

import pytest

from rules.model import language
from tests.rules.conditions.naive_run import ConditionRun
from tests.rules.conditions.random_conditions import T


def step(
    name: str, within_ms: int | None = None, where: Any = None, called: str | None = None
) -> language.SequenceStep:
    return language.SequenceStep(language.EventPattern((name,), where), within_ms, called)


def test_a_later_chain_with_an_earlier_beginning_beats_none_that_began_later() -> None:
    same = language.Test(("p",), "eq", language.Ref("s", ("p",)))
    source = language.Sequence((step("x", called="s"), step("y", where=same), step("z", 5)), None, 10, None)
    run = ConditionRun(source)
    for at, name, p in ((0, "x", 1), (8, "x", 2), (9, "y", 2), (10, "y", 1), (12, "z", 0)):
        run.take(T + at, name, {"p": p}, T + at)
    assert run.told(T + 12)
    assert run.truth(T + 12)


def test_a_chain_that_began_earlier_goes_on_when_the_later_one_can_not() -> None:
    same = language.Test(("p",), "eq", language.Ref("s", ("p",)))
    source = language.Sequence((step("x", called="s"), step("y", where=same), step("z", 5)), None, 20, None)
    run = ConditionRun(source)
    for at, name, p in ((0, "x", 1), (8, "x", 2), (9, "y", 2), (10, "y", 1), (15, "z", 0)):
        run.take(T + at, name, {"p": p}, T + at)
    assert run.told(T + 15)
    assert run.truth(T + 15)


@pytest.mark.parametrize(
    ("within_ms", "total_ms", "where"),
    [(5, None, None), (None, 5, None), (None, None, language.Test(("p",), "eq", language.Ref("s", ("p",))))],
)
def test_a_last_step_is_kept_that_a_late_first_may_need(within_ms: Any, total_ms: Any, where: Any) -> None:
    steps = (step("x", called="s"), step("y", within_ms, where))
    run = ConditionRun(language.Sequence(steps, None, total_ms, None))
    for now, at, name, p in ((10, 10, "y", 1), (20, 20, "y", 2), (21, 8, "x", 1)):
        run.take(T + at, name, {"p": p}, T + now)
    assert run.told(T + 21)
    assert run.truth(T + 21)


def test_a_follower_between_two_others_is_kept_that_are_further_apart_than_for() -> None:
    x, y = language.EventPattern(("x",), None), language.EventPattern(("y",), None)
    run = ConditionRun(language.NotFollowed(x, y, 5))
    for now, at, name in ((0, 0, "y"), (2, 2, "y"), (6, 6, "y"), (7, 0, "x")):
        run.take(T + at, name, {}, T + now)
    assert not run.told(T + 20)
    assert not run.truth(T + 20)


def test_a_late_event_that_breaks_the_latest_chain_brings_the_flip_forward() -> None:
    source = language.Sequence(
        (step("x"), step("y")), language.EventPattern(("z",), None), None, language.Within(30)
    )
    run = ConditionRun(source)
    for at, name in ((0, "x"), (1, "y"), (5, "x"), (10, "y")):
        run.take(T + at, name, {}, T + at)
    assert run.next_timer(T + 10) == T + 40
    assert run.take(T + 7, "z", {}, T + 11).is_felt
    assert run.next_timer(T + 11) == T + 31


def test_a_sequence_keeps_little_however_many_events_come() -> None:
    plain = (step("x"), step("y"), step("z"))
    for steps, window, names, most in (
        (plain, None, "xy", 20),
        (plain, None, "xyz", 1),
        (plain[:2], language.Within(10**9), "xy", 3),
        ((step("x"), step("y", 5), step("z", 5)), language.Within(10**6), "xyz", 20),
        ((step("x"), step("y", 5), step("z", 5)), None, "xyz", 1),
    ):
        run = ConditionRun(language.Sequence(steps, None, None, window))
        for number in range(600):
            run.take(T + number, names[number % len(names)], {}, T + number)
        (state,) = run.row.conditions.values()
        assert max(map(len, state)) <= most, (window, names)
        assert run.built.dropped_samples == 0


def test_the_oldest_events_go_beyond_the_limit_and_are_counted() -> None:
    x, y = language.EventPattern(("x",), None), language.EventPattern(("y",), None)
    sources: list[Any] = [
        language.Sequence((step("y"), step("x"), step("x", 10)), y, None, None),
        language.NotFollowed(x, y, 5),
        language.EventCondition(
            ("x",),
            None,
            language.Aggregate("avg", ("p",), (language.Comparison("gte", 1),)),
            language.Within(10**9),
        ),
    ]
    for source in sources:
        run = ConditionRun(source, max_samples=10)
        for number in range(25):
            run.take(T + number * 100, "x", {"p": 1}, T + number * 100)
        (state,) = run.row.conditions.values()
        assert max(map(len, state)) == 10
        assert run.built.dropped_samples == 15


def test_followers_close_to_each_other_are_not_all_kept() -> None:
    x, y = language.EventPattern(("x",), None), language.EventPattern(("y",), None)
    run = ConditionRun(language.NotFollowed(x, y, 100))
    for number in range(1000):
        run.take(T + number, "y", {}, T + number)
    (state,) = run.row.conditions.values()
    assert len(state[1]) < 25
    assert not run.take(T + 500, "x", {}, T + 1000).is_changed
    assert not run.told(T + 2000)
    assert run.take(T + 999, "x", {}, T + 1000).is_felt
    assert run.told(T + 2000)


def test_where_later_followers_undo_it_only_the_latest_one_is_kept() -> None:
    x, y = language.EventPattern(("x",), None), language.EventPattern(("y",), None)
    run = ConditionRun(language.NotFollowed(x, y, 100, still=True))
    for at in (5000, 1000, 9000, 3000):
        run.take(T + at, "y", {}, T + 9000)
    (state,) = run.row.conditions.values()
    assert state == [[], [T + 9000]]
    assert not run.take(T + 8999, "x", {}, T + 9000).is_changed
    assert run.take(T + 9000, "x", {}, T + 9000).is_felt
    assert run.told(T + 9100)


def test_a_long_text_is_equal_also_where_another_test_looks_into_it() -> None:
    ref = language.Ref("s", ("p",))
    same = language.AllTests((language.Test(("q",), "eq", ref), language.Test(("r",), "starts_with", ref)))
    run = ConditionRun(language.Sequence((step("x", called="s"), step("y", where=same))))
    run.take(T, "x", {"p": "a" * 100}, T)
    run.take(T + 1, "y", {"q": "a" * 100, "r": "a" * 101}, T + 1)
    assert run.told(T + 1)

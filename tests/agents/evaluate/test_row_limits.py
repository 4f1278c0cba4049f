"""Rows that would be larger than the changelog takes: by records, by time, by definitions."""

from __future__ import annotations

import contextlib
from random import Random

import pytest

from agents.evaluate.partition.row_limits import by_records_bytes
from agents.evaluate.steps import Limits
from agents.warnings import Warnings
from app.worker.metrics import WorkerMetrics
from tests.driver.driver import Crash, Driver, ruleset
from tests.model import instant_text
from tests.strategies.fuzzing import usual

T = 1_700_000_000_000
HOUR = 3_600_000
BYTES = 8_000
LIMITS = Limits(changelog_bytes=BYTES)
MOST = by_records_bytes(LIMITS)
IS_X = [
    f'{{"id": "is{number}", "name": "Is {number}", "rule": {{"attribute": "p{number}", "eq": "x"}}}}'
    for number in range(12)
]
RECENT = '{"id": "recent", "name": "Recent", "rule": {"event": "buy", "within": "1h"}}'


def definitions(*audiences: str) -> str:
    return f'{{"audiences": [{", ".join(audiences)}]}}'


def driver(*audiences: str, cycle_steps: int = 1) -> Driver:
    return Driver(definitions(*audiences), changelog_bytes=BYTES, cycle_steps=cycle_steps)


def row_bytes(made: Driver, user: str) -> int:
    value = made.pipeline.profiles.read_encoded(user.encode())
    return 0 if value is None else len(user) + len(value)


def put(made: Driver, user: str, at_ms: int, number: int, value: str) -> None:
    body = {"user_id": user, "type": "profile", "id": f"r{at_ms}", "set": {f"p{number}": value}}
    made.send(body, at_ms, key=user.encode())


def test_a_record_that_would_make_the_row_too_large_is_a_dead_letter_and_leaves_no_trace() -> None:
    made = driver(*IS_X, RECENT)
    for number in range(12):
        put(made, "ann", T + number, number, "y" * 600)
        made.send({"user_id": "bob", "event": "buy", "id": f"b{number}"}, T + number, key=b"bob")
    made.run()
    kept = 12 - len(made.dead)
    assert 4 < kept < 8
    assert set(made.codes()) == {"row_too_large"}
    letter = made.dead[0]
    assert letter.record.timestamp == T + kept
    assert (letter.stage, letter.origin) == ("apply", ("events", 0, 2 * kept))
    assert str(BYTES) in letter.message
    assert row_bytes(made, "ann") <= MOST
    # Without it the row is what it would be had the record never come.
    clean = driver(*IS_X, RECENT)
    for number in range(kept):
        put(clean, "ann", T + number, number, "y" * 600)
    clean.run()
    assert row_bytes(clean, "ann") == row_bytes(made, "ann")
    made.track("ann", "buy", T + 50)
    assert "recent" in made.members("ann", T + 50)
    assert made.story("bob") == [("enter", "recent", instant_text(T), "event")]


def test_a_users_first_record_may_be_too_large() -> None:
    made = driver(*IS_X)
    made.profile("ann", T, set={"p0": "y" * MOST})
    assert (made.codes(), made.pipeline.profiles.read(b"ann")) == (["row_too_large"], None)
    made.profile("ann", T + 1, set={"p0": "x"})
    assert set(made.members("ann", T + 1)) == {"is0"}


def test_room_that_comes_back_is_used() -> None:
    made = driver(*IS_X)
    for number in range(12):
        put(made, "ann", T + number, number, "y" * 600)
    made.run()
    refused = len(made.dead)
    for number in range(12):
        put(made, "ann", T + 100 + number, number, "x")
    made.run()
    assert len(made.dead) == refused > 0
    assert len(made.members("ann", T + 200)) == 12


@pytest.mark.parametrize("seed", range(usual(6)))
def test_random_records_agree_with_one_at_a_time_and_with_crashes(seed: int) -> None:
    """A step that is computed again gives what its records give one by one, and no dead letter gets lost.

    Rows only grow here: a step is judged by the rows that it ends with.
    """
    random = Random(seed)
    bodies = []
    for number in range(120):
        size = random.choice([1, 300, 1200])
        user, value = random.choice(["ann", "bob"]), random.choice("xy") * size
        body = {"type": "profile", "set": {f"p{number}": value}}
        bodies.append({"user_id": user, "id": f"r{number}", **body})
    alone, together = driver(*IS_X, RECENT), driver(*IS_X, RECENT, cycle_steps=random.choice([1, 2]))
    for number, body in enumerate(bodies):
        at_ms = T + number * 7 * 60_000
        alone.pipe(body, at_ms, key=body["user_id"].encode())
        together.send(body, at_ms, key=body["user_id"].encode())
    while True:
        together.crash_after(random.randint(5, 60))
        try:
            together.run(lambda: random.randint(1, 5))
            break
        except Crash:
            together.crash_after(10**9)
            together.restart(lose_store=random.random() < 0.5, compact=True)
    together.crash_after(10**9)
    for made in (alone, together):
        made.advance(T + 20 * HOUR)
    assert "row_too_large" in alone.codes()
    for user in ("ann", "bob"):
        assert together.story(user) == alone.story(user)
        assert row_bytes(together, user) == row_bytes(alone, user)
    assert {each.origin for each in together.dead} == {each.origin for each in alone.dead}


def test_counts_of_a_step_that_is_computed_again_are_right() -> None:
    made = driver(*IS_X)
    for number in range(12):
        put(made, "ann", T + number, number, "y" * 600)
    made.send(b"no json", T + 20, key=b"ann")
    put(made, "bob", T + 21, 1, "x")
    part = made.parts[0]
    made.in_flight = 1
    part.take(500)
    ((step, _),) = part.computed
    counts = step.counts
    assert [each.code for each in step.dead].count("not_json") == 1
    assert counts.applied + counts.dead == 14
    assert counts.dead == len(step.dead) == len(step.dead)
    assert counts.repeated == 0
    assert len(step.transitions) == len(step.transition_keys) == 1


MANY = [
    f'{{"id": "never{number}", "name": "Never {number}", "rule": {{"not": {{"event": "none{number}"}}}}}}'
    for number in range(400)
]


def test_definitions_that_would_make_a_row_too_large_leave_it_as_it_was_and_say_so() -> None:
    made = driver(*IS_X)
    for number in range(12):
        put(made, "ann", T + number, number, "y" * 250)
    put(made, "bob", T + 20, 0, "y")
    made.run()
    before = row_bytes(made, "ann")
    assert made.dead == []
    made.pipeline.profiles.flush()
    rules = ruleset(definitions(*IS_X, *MANY), version=2)
    made.rules = rules
    made.pipeline.define(rules)
    left = []
    while made.pipeline.sweeping:
        step = made.pipeline.sweep(100)
        left += step.left
        made.parts[0].computed.append((step, []))
        made.flush()
        warnings = Warnings()
        WorkerMetrics(warnings).step_done(0, step, 0.0)
        assert [each.code for each in warnings.active()] == ["row_too_large"] * bool(step.left)
    assert left == [b"ann"]
    assert row_bytes(made, "ann") == before
    assert len(made.members("bob", T + 20)) == 400
    # And nothing is stuck after it, whatever the user does next.
    put(made, "ann", T + 30, 0, "x")
    made.run()
    made.restart(lose_store=True)
    made.run()
    made.advance(T + HOUR)


def test_time_that_would_make_a_row_too_large_waits_until_there_is_room() -> None:
    """Memberships come by time, hundreds of them, and the row is as full as records may make it."""
    quiet = [
        f'{{"id": "quiet{number}", "name": "Quiet {number}", '
        f'"rule": {{"all": [{{"event": "buy"}}, {{"not": {{"event": "buy", "within": "{number + 1}m"}}}}]}}}}'
        for number in range(200)
    ]
    made = driver(*IS_X, *quiet)
    for user in ("ann", "bob"):
        for number in range(12):
            put(made, user, T + number, number, "y" * (165 if user == "ann" else 1))
        made.send({"user_id": user, "event": "buy"}, T + 20, key=user.encode())
    made.run()
    assert made.dead == []
    made.advance(T + 8 * HOUR)
    assert not made.pipeline.overdue
    assert len(made.members("bob", T + 8 * HOUR)) == 200
    assert made.story("ann") == []
    # With room again they come out at their own instants.
    made.profile("ann", T + 9 * HOUR, unset=[f"p{number}" for number in range(12)])
    assert made.dead == []
    assert made.story("ann") == made.story("bob")


def test_a_record_that_became_a_dead_letter_is_not_applied_when_it_comes_again_with_others() -> None:
    """A step is judged by the rows that it ends with, and after a crash it may have other records."""
    big = "y" * MOST
    for writes in range(20):
        big_is = f'{{"id": "big", "name": "Big", "rule": {{"attribute": "p0", "eq": "{big}"}}}}'
        made = driver(big_is, *IS_X)
        put(made, "bob", T, 1, "x")
        made.run()
        made.commit_offsets()
        put(made, "ann", T, 0, big)
        put(made, "ann", T, 0, "x")
        made.crash_after(writes)
        with contextlib.suppress(Crash):
            made.run(lambda: 1)
        made.crash_after(10**9)
        made.restart()
        made.run()
        entered = [each["audience"] for each in made.transitions if each["user_id"] == "ann"]
        assert entered == (["is0"] if made.dead else ["big", "big", "is0"]), writes


def test_a_refused_record_stays_refused_though_another_source_makes_a_step_between_two_kills() -> None:
    big = "y" * MOST
    for writes in range(20):
        big_is = f'{{"id": "big", "name": "Big", "rule": {{"attribute": "p0", "eq": "{big}"}}}}'
        made = driver(big_is, *IS_X)
        made.notes = True
        put(made, "bob", T, 1, "x")
        made.run()
        made.commit_offsets()
        put(made, "ann", T, 0, big)
        put(made, "ann", T, 0, "x")
        made.crash_after(writes)
        with contextlib.suppress(Crash):
            made.run(lambda: 1)
        made.crash_after(10**9)
        made.restart()
        body = {"user_id": "bob", "type": "profile", "id": "c", "set": {"p2": "x"}}
        made.send(body, T + 1, key=b"bob", topic="crm")
        part = made.parts[0]
        part.inbox.appendleft(part.inbox.pop())
        part.take(1)
        part.commit_all()
        made.restart()
        made.run()
        entered = [each["audience"] for each in made.transitions if each["user_id"] == "ann"]
        assert entered == (["is0"] if made.dead else ["big", "big", "is0"]), writes
        assert not made.pipeline.refused_before.to_come(made.pipeline.positions.offsets)

"""Records from the future: dead letters that move no clock, decided alike whenever they are read again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

import pytest

from agents.evaluate.steps import Limits
from tables.codec import source_key
from tables.refused import RUNS, Refused
from tests.driver.driver import EVENTS, Crash, Driver
from tests.strategies.fuzzing import usual

T = 1_790_000_000_000
LEAD = 600_000
RULES = """
audiences:
  - {id: brief, name: Brief, rule: {event: view, within: 40ms}}
  - {id: twice, name: Twice, rule: {event: view, count: {gte: 2}, within: 200ms}}
  - {id: quiet, name: Quiet, rule: {not: {event: view, within: 90ms}}}
"""
YEAR = 365 * 86_400_000


def test_a_record_from_next_year_moves_no_clock() -> None:
    driver = Driver(RULES)
    driver.latest_ms = T + LEAD
    driver.track("ann", "view", T)
    driver.track("bob", "view", T + YEAR)
    driver.track("cid", "view", T + LEAD)
    driver.track("dan", "view", T + LEAD + 1)
    assert driver.codes() == ["timestamp_ahead", "timestamp_ahead"]
    assert driver.pipeline.stream_time_ms == T + LEAD
    assert [letter.origin[2] for letter in driver.dead] == [1, 3]
    assert "2027-09-21" in driver.dead[0].message
    assert driver.dead[0].stage == "clock"
    assert not driver.story("bob")


def test_without_a_wall_clock_every_record_is_taken() -> None:
    driver = Driver(RULES)
    driver.track("bob", "view", T + YEAR)
    assert driver.codes() == []
    assert driver.pipeline.stream_time_ms == T + YEAR


def test_a_clock_that_is_in_the_future_already_takes_what_lies_before_it() -> None:
    driver = Driver(RULES)
    driver.track("ann", "view", T + YEAR)
    driver.latest_ms = T + LEAD
    driver.track("bob", "view", T + YEAR - 1)
    driver.track("cid", "view", T + YEAR + 1)
    assert driver.codes() == ["timestamp_ahead"]
    assert driver.pipeline.stream_time_ms == T + YEAR


def test_a_bad_record_from_the_future_moves_no_clock_either() -> None:
    driver = Driver(RULES)
    driver.latest_ms = T + LEAD
    driver.pipe(b"not json", T + YEAR)
    assert driver.codes() == ["timestamp_ahead"]
    assert driver.pipeline.stream_time_ms == 0


@pytest.mark.parametrize("lose_store", [False, True])
@pytest.mark.parametrize("later_ms", [-YEAR, YEAR], ids=["a clock behind", "a clock that is there by now"])
def test_what_was_decided_holds_when_the_log_is_read_again(
    later_ms: int, lose_store: bool, tmp_path: Path
) -> None:
    driver = Driver(RULES, directory=tmp_path)
    driver.latest_ms = T + LEAD
    for number, at_ms in enumerate((T, T + YEAR // 2, T + LEAD, T + YEAR // 2, T + 5)):
        driver.track(f"u{number}", "view", at_ms)
    told, stream_time_ms = list(driver.transitions), driver.pipeline.stream_time_ms
    driver.latest_ms += later_ms
    driver.restart(lose_store=lose_store, compact=True)
    driver.run()
    assert driver.pipeline.stream_time_ms == stream_time_ms == T + LEAD
    assert driver.transitions == told
    assert [letter.origin[2] for letter in driver.dead] == [1, 3]


@pytest.mark.parametrize("seed", range(usual(30)))
def test_crashes_and_other_clocks_change_no_decision(seed: int, tmp_path: Path) -> None:
    """Whatever was decided, the output is that of a log without the records that were refused."""
    random = Random(seed)
    limits = Limits(step_transitions=random.choice([1, 3, 1_000]))
    driver = Driver(RULES, directory=tmp_path, limits=limits, in_flight=random.choice([0, 2]))
    log = []
    for number in range(60):
        user = f"u{random.randrange(5)}"
        at_ms = T + number * 7 + random.choice([0, 0, 0, 300, 5_000, YEAR])
        log.append((user, at_ms))
        driver.send({"user_id": user, "event": "view"}, at_ms, key=user.encode())
    clocks = [T, T + 100, T + 400, T + 6_000, T + 2 * YEAR]
    for _ in range(random.randrange(1, 8)):
        driver.latest_ms = random.choice(clocks)
        driver.crash_after(random.randrange(30))
        with contextlib.suppress(Crash):
            driver.run(lambda: random.randrange(1, 12))
        driver.writes_left = None
        if random.random() < 0.3:
            driver.commit_offsets()
        driver.restart(lose_store=random.random() < 0.2, compact=random.random() < 0.3)
    driver.latest_ms = random.choice(clocks)
    driver.run(lambda: 7)
    refused = {letter.origin[2] for letter in driver.dead}
    assert {letter.code for letter in driver.dead} <= {"timestamp_ahead"}
    other = Driver(RULES)
    for offset, (user, at_ms) in enumerate(log):
        if offset not in refused:
            other.track(user, "view", at_ms)
    assert driver.pipeline.stream_time_ms == other.pipeline.stream_time_ms
    for user in {user for user, _ in log}:
        assert driver.story(user) == other.story(user)


def test_notes_go_when_the_log_begins_after_them(tmp_path: Path) -> None:
    driver = Driver(RULES, directory=tmp_path)
    driver.latest_ms = T + LEAD
    for at_ms in (T, T + YEAR, T + 1, T + YEAR, T + YEAR, T + 2):
        driver.track("ann", "view", at_ms)
    driver.pipeline.profiles.flush()
    assert len(driver.pipeline.profiles.store.notes()) == 2 + 1
    driver.pipeline.judge.forget(EVENTS, 0, 3)
    driver.track("ann", "view", T + 3)
    driver.pipeline.profiles.flush()
    assert [key[-1] for key, _ in driver.pipeline.profiles.store.notes()] == [3, 4]
    driver.restart(lose_store=True, compact=True)
    assert [key[-1] for key, _ in driver.pipeline.profiles.store.notes()] == [3, 4]


def test_notes_hold_what_was_added_in_whatever_order() -> None:
    random = Random(7)
    source, other = source_key(EVENTS, 0), source_key(EVENTS, 1)
    refused, held, kept = Refused(), set[int](), dict[bytes, bytes | None]()
    for _ in range(200):
        start = random.randrange(2_000)
        news = sorted({start + random.randrange(30) for _ in range(random.randrange(1, 20))} - held)
        held |= set(news)
        kept.update(refused.add(source, news))
    kept.update(refused.forget(source, 500))
    again = Refused([(key, value) for key, value in kept.items() if value is not None])
    for each in (refused, again):
        assert {offset for offset in range(500, 2_100) if each.holds(source, offset)} == {
            offset for offset in held if offset >= 500
        }
        assert not each.holds(other, 600)
    assert not again.unreadable


def test_a_note_has_a_bounded_size_and_one_that_is_not_ours_is_passed_by() -> None:
    refused = Refused()
    notes = list(refused.add(1, range(0, 4 * RUNS, 2)))
    assert len(notes) == 2
    assert all(len(value or b"") < 400_000 for _, value in notes)
    key = notes[0][0]
    assert Refused([(key, b"\xc1")]).unreadable == [key]

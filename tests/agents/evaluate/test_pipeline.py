"""One partition from bytes to transitions: redelivery, repartitioning, clocks, definitions, sources."""

from __future__ import annotations

import json

import pytest

from agents.kafka.placement import partition_of
from tables.codec import Checkpoint, decode_checkpoint
from tests.driver.driver import EVENTS, Crash, Driver, ruleset
from tests.model import instant_text

T = 1_700_000_000_000
HOUR = 3_600_000
RECENT = "{id: recent, name: Recent, rule: {event: buy, within: 1h}}"
THREE = "{id: three, name: Three, rule: {event: buy, count: {gte: 3}}}"
COUNTRY = "{id: locals, name: Locals, rule: {attribute: country, eq: US}}"


def test_a_timer_at_the_instant_of_a_record_is_decided_with_it_even_a_millisecond_after_another() -> None:
    driver = Driver(RECENT)
    driver.track("ann", "buy", T)
    driver.track("ann", "view", T + HOUR - 1)
    driver.track("ann", "view", T + HOUR)
    assert driver.story("ann")[1:] == [("exit", "recent", instant_text(T + HOUR), "event")]


def test_records_that_come_again_change_nothing() -> None:
    driver = Driver(f"audiences: [{THREE}, {RECENT}, {COUNTRY}]")
    for number in range(2):
        driver.track("ann", "buy", T + number)
    driver.profile("ann", T + 5, add={"n": 1})
    before, made = driver.pipeline.profiles.read(b"ann"), len(driver.transitions)
    for _ in range(2):
        driver.restart()
        driver.run()
    assert (driver.pipeline.profiles.read(b"ann"), len(driver.transitions)) == (before, made)
    assert driver.repeated == 6
    assert set(driver.members("ann", T + 5)) == {"recent"}


@pytest.mark.parametrize("lose_store", [False, True])
def test_the_clock_goes_on_after_a_restart(lose_store: bool) -> None:
    """Even if the record that moved it last changed no row."""
    driver = Driver(RECENT)
    driver.track("ann", "view", T)
    driver.track("ann", "view", T + 100)
    driver.commit_offsets()
    driver.restart(lose_store=lose_store, compact=True)
    driver.track("bob", "buy", T + 50)
    assert driver.story("bob") == [("enter", "recent", instant_text(T + 100), "event")]


@pytest.mark.parametrize("lose_store", [False, True])
def test_the_position_goes_on_after_a_restart(lose_store: bool) -> None:
    """Even if the last records changed no row and came behind the clock: the past is computed up to it."""
    driver = Driver(RECENT)
    driver.track("ann", "view", T)
    for number in range(3):
        driver.track("ann", "view", T - 1000 + number)
    driver.commit_offsets()
    position = driver.pipeline.position_of(EVENTS, 0)
    assert position == 3
    driver.restart(lose_store=lose_store, compact=True)
    assert driver.pipeline.position_of(EVENTS, 0) == position


def test_a_step_that_is_half_written_goes_on_from_its_own_clock() -> None:
    driver = Driver(RECENT)
    for at, user in ((T, "ann"), (T + 10, "bob"), (T + 20, "cy")):
        driver.send({"user_id": user, "event": "buy"}, at)
    driver.crash_after(2)  # the checkpoint and ann
    with pytest.raises(Crash):
        driver.run()
    driver.restart()
    assert [each["user_id"] for each in driver.transitions] == ["ann"]
    driver.run()
    assert [each["at"] for each in driver.transitions] == [instant_text(at) for at in (T, T + 10, T + 20)]
    assert driver.repeated == 1


def test_a_checkpoint_tells_the_clock_before_and_after_its_step() -> None:
    driver = Driver(RECENT)
    driver.track("ann", "buy", T)
    begin, end = (
        decode_checkpoint(value) for _, key, value, _ in driver.parts[0].changelog if b"mark" in key
    )  # type: ignore[arg-type]
    assert isinstance(begin, Checkpoint)
    assert (begin.stream_time_ms, end.stream_time_ms) == (0, T)


def test_a_user_of_another_partition_is_re_keyed_and_counted_once() -> None:
    driver = Driver(THREE, partitions=4)
    home = partition_of("ann", 4)
    wrong = (home + 1) % 4
    for number in range(3):
        driver.track("ann", "buy", T + number, partition=wrong)
    assert driver.repartitioned == 3
    assert [each["at"] for each in driver.transitions] == [instant_text(T + 2)]
    driver.restart()  # nothing was committed: all is read and repartitioned again
    driver.run()
    assert driver.repartitioned == 6
    assert driver.repeated == 6
    row = driver.parts[home].pipeline.profiles.read(b"ann")
    assert row is not None
    assert len(driver.transitions) == 1
    assert list(row.conditions.values()) == [[3]]
    assert driver.parts[wrong].pipeline.profiles.read(b"ann") is None


def test_records_in_the_right_and_in_wrong_partitions_add_up() -> None:
    driver = Driver(THREE, partitions=4)
    for partition in range(4):
        driver.track("ann", "buy", T, partition=partition)
    assert driver.repartitioned == 3
    assert set(driver.members("ann", T)) == {"three"}


def test_a_record_whose_key_is_not_the_user_but_whose_partition_is_right_stays() -> None:
    driver = Driver(RECENT, partitions=4)
    driver.pipe({"user_id": "ann", "event": "buy"}, T, key=b"other", partition=partition_of("ann", 4))
    assert (driver.repartitioned, len(driver.transitions)) == (0, 1)


def test_a_bad_record_that_was_re_keyed_tells_where_the_producer_wrote_it() -> None:
    driver = Driver(COUNTRY, partitions=4)
    wrong = (partition_of("ann", 4) + 1) % 4
    body = {"type": "profile", "user_id": "ann", "set": {"country": "x" * 300_000}}
    driver.pipe(body, T, partition=wrong)
    (letter,) = driver.dead
    assert (letter.code, letter.origin) == ("attributes_too_large", (EVENTS, wrong, 0))


@pytest.mark.parametrize("is_repartitioned", [False, True])
def test_an_update_that_changed_nothing_does_nothing_when_it_comes_again_later(
    is_repartitioned: bool,
) -> None:
    """It left no trace of its own; a row changed from another source must remember it all the same."""
    driver = Driver(COUNTRY, partitions=2)
    home = partition_of("ann", 2)
    set_us = json.dumps({"type": "profile", "user_id": "ann", "set": {"country": "US"}}).encode()
    driver.pipe(set_us, T, partition=home, topic="crm")
    driver.pipe(set_us, T + 1, partition=1 - home if is_repartitioned else home)
    driver.pipe(set_us.replace(b"US", b"FR"), T + 2, partition=home, topic="crm")
    changed = len(driver.transitions)
    driver.restart()
    driver.run()
    assert len(driver.transitions) == changed == 2
    assert driver.members("ann", T + 9) == {}


def test_projects_do_not_see_each_other() -> None:
    driver = Driver(RECENT)
    driver.track("ann", "buy", T, project="shop")
    assert driver.transitions == []
    assert driver.pipeline.look("shop", "ann", T) is not None
    assert driver.pipeline.look("default", "ann", T) is None


def test_a_lookup_decides_what_is_due_and_changes_nothing() -> None:
    driver = Driver(RECENT)
    driver.track("ann", "buy", T)
    assert driver.members("ann", T + HOUR - 1) == {"recent": T}
    assert driver.members("ann", T + HOUR) == {}
    assert driver.members("ann", T) == {"recent": T}
    driver.advance(T + HOUR)
    assert len(driver.transitions) == 1
    driver.advance(T + HOUR + 1)
    assert driver.story("ann")[1:] == [("exit", "recent", instant_text(T + HOUR), "time")]


def test_a_timer_at_the_instant_up_to_which_all_was_fired_is_not_passed_over() -> None:
    driver = Driver(RECENT, behind_rows=0)
    driver.track("ann", "buy", T)
    driver.track("bob", "view", T + 5)
    driver.pipeline.profiles.flush()
    driver.advance(T + HOUR)  # nothing is due before that, and ann's timer is due then
    driver.advance(T + HOUR + 1)
    assert driver.story("ann")[1:] == [("exit", "recent", instant_text(T + HOUR), "time")]


def test_time_passes_in_slices_with_each_timer_at_its_own_instant() -> None:
    driver = Driver(RECENT)
    for number in range(20):
        driver.track(f"user{number}", "buy", T + number)
    driver.advance(T + 2 * HOUR, limit=3)
    exits = [each["at"] for each in driver.transitions if each["event"] == "exit"]
    assert exits == [instant_text(T + number + HOUR) for number in range(20)]
    assert not driver.pipeline.overdue


def test_changed_definitions_come_out_as_differences() -> None:
    driver = Driver(f"audiences: [{RECENT}, {COUNTRY}]")
    driver.profile("ann", T, set={"country": "US"})
    driver.track("bob", "buy", T)
    newcomers = "{id: newcomers, name: Newcomers, rule: {not: {event: buy}}}"
    driver.rules = ruleset(f"audiences: [{RECENT}, {newcomers}]", version=2)
    driver.pipeline.define(driver.rules)
    out = []
    while driver.pipeline.sweeping:
        step = driver.pipeline.sweep(1)
        out += [(each.user_id, each.audience, each.seq, each.cause) for each in step.transitions]
        driver.pipeline.acked(step)
        driver.pipeline.profiles.durable(step.staged)
    # Locals is gone without a trace of its name here; a deleted definition would bring ann's exit.
    assert out == [("ann", "newcomers", 1, "definition"), ("bob", "newcomers", 1, "definition")]


def test_entries_left_in_the_timer_index_by_older_rows_are_cleared() -> None:
    driver = Driver(RECENT)
    driver.track("ann", "buy", T)
    driver.pipeline.profiles.flush()
    store = driver.pipeline.profiles.store
    from tables.store import Write

    store.write(Write(timers_added=[(T + 5, b"ann"), (T + 6, b"nobody")]))
    step = driver.pipeline.punctuate(T + 10, 10)
    assert not step.is_empty
    assert (list(step.transitions), list(step.staged.rows)) == ([], [])
    driver.pipeline.profiles.durable(step.staged)
    driver.pipeline.profiles.flush()
    assert store.timers(0, 1 << 61, 9) == [(T + HOUR, b"ann")]

"""Batches: one record at one offset, several events of several users, exactly once whatever happens."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from agents.evaluate.dead_letters import dead_letter_headers
from agents.evaluate.partition.row_limits import by_records_bytes
from agents.evaluate.steps import Limits
from agents.formats.format import Format
from agents.kafka.placement import partition_of
from agents.warnings import Warnings
from app.worker.metrics import WorkerMetrics
from tests.agents.formats.reading import a_format
from tests.driver.driver import EVENTS, Crash, Driver, Rec
from tests.strategies.fuzzing import usual

T = 1_700_000_000_000
RULES = """
audiences:
  - {id: thrice, name: Thrice, rule: {event: buy, count: {gte: 3}}}
  - {id: odd, name: Odd, rule: {event: buy, sum: {property: n, gte: 1, lt: 4}}}
  - {id: recent, name: Recent, rule: {event: view, within: 5s}}
  - {id: points, name: Points, rule: {attribute: points, gte: 2}}
"""
USERS = [f"u{number}" for number in range(9)]
CONTEXT = {"context": {"ip": "::1"}}


def limits(format: Format | None = None, **more: Any) -> Limits:
    return Limits(formats={} if format is None else {EVENTS: format}, **more)


def bodies(random: Random, number: int) -> list[dict[str, Any]]:
    """Native records of a batch: some of the same user, some with an id that another has, some bad."""
    made: list[dict[str, Any]] = []
    for _ in range(number):
        user = random.choice(USERS)
        kind = random.randrange(8)
        if kind == 0:
            made.append({"user_id": user, "event": "", "properties": {"n": random.random()}})
        elif kind == 1:
            made.append({"user_id": user, "type": "profile", "add": {"points": 1}})
        elif kind == 2:
            made.append({"user_id": user, "event": "view"})
        else:
            body = {"user_id": user, "event": "buy", "properties": {"n": random.randrange(3)}}
            made.append(body | ({"id": f"i{random.randrange(40)}"} if random.random() < 0.5 else {}))
    return made


def as_segment(body: dict[str, Any]) -> dict[str, Any]:
    call = {"userId": body["user_id"], "messageId": body.get("id")}
    if body.get("type") == "profile":
        return call | {"type": "identify", "traits": {"points": 2}}
    return call | {
        "type": "track",
        "event": body["event"],
        "properties": body.get("properties", {}) | CONTEXT,
    }


def story(driver: Driver) -> dict[tuple[str, str], list[tuple[str, str, int]]]:
    found: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for each in driver.transitions:
        found.setdefault((each["user_id"], each["audience"]), []).append(
            (each["event"], each["at"], each["seq"])
        )
    return found


def letters(driver: Driver) -> list[tuple[str, bytes | None]]:
    return sorted((each.code, each.record.value) for each in driver.dead)


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(1, 8))])
def test_a_batch_gives_what_its_records_give_one_by_one_through_any_crashes(seed: int) -> None:
    random = Random(seed)
    batches = [bodies(random, random.randint(1, 12)) for _ in range(25)]
    single = Driver(RULES, partitions=4)
    for at, batch in enumerate(batches):
        for body in batch:  # where they belong, so that they are applied in the same order
            single.pipe(body, T + at, partition=partition_of(body["user_id"], 4))
    small = limits(step_transitions=random.choice([1, 4_000]))  # a record that is begun isn't cut in two
    crashing = Driver(RULES, partitions=4, behind_rows=random.choice([0, 7]), limits=small)
    for at, batch in enumerate(batches):
        crashing.send(json.dumps(batch).encode(), T + at, partition=at % 4)
        crashing.crash_after(random.randint(0, 25))
        run_through(crashing, random)
    assert story(crashing) == story(single)
    assert [code for code, _ in letters(crashing)] == ["event"] * len(single.dead)
    for user in USERS:
        assert crashing.members(user, T + 100) == single.members(user, T + 100)


def run_through(driver: Driver, random: Random) -> None:
    """Run to the end, through up to three more crashes."""
    for crashes in range(4):
        try:
            driver.run(lambda: random.randint(1, 5))
            return
        except Crash:
            driver.restart(lose_store=random.random() < 0.3)
            if crashes < 2:
                driver.crash_after(random.randint(0, 40))
    driver.run()


@pytest.mark.parametrize("seed", range(usual(4)))
def test_batches_of_another_format_go_to_their_users_partitions_and_through_crashes(seed: int) -> None:
    random = Random(seed)
    segment = limits(a_format("segment"))
    batches = [list(map(as_segment, bodies(random, random.randint(1, 12)))) for _ in range(15)]
    calm = Driver(RULES, partitions=4, limits=segment)
    crashing = Driver(RULES, partitions=4, limits=segment)
    for at, batch in enumerate(batches):
        for driver in (calm, crashing):
            value = {"batch": batch, "sentAt": "x"} if at % 2 else batch
            driver.send(json.dumps(value).encode(), T + at, partition=at % 4)
        calm.run()
        crashing.crash_after(random.randint(0, 25))
        run_through(crashing, random)
    assert calm.repartitioned > 10
    assert story(crashing) == story(calm)
    assert letters(crashing) == letters(calm)


def test_the_second_event_of_a_user_in_a_record_is_no_repeat_of_the_first_but_a_copy_of_the_record_is() -> (
    None
):
    driver = Driver(RULES)
    batch = json.dumps([{"user_id": "ann", "event": "buy"}] * 3).encode()
    driver.pipe(batch, T)
    assert set(driver.members("ann", T)) == {"thrice"}
    record = Rec(EVENTS, 0, 0, T, None, batch)
    step = driver.pipeline.apply([record])
    assert (step.counts.applied, step.counts.repeated) == (0, 3)


def test_what_a_record_holds_for_users_elsewhere_is_one_repartitioned_record_each_and_taken_once() -> None:
    driver = Driver(RULES, partitions=2)
    here = next(user for user in USERS if partition_of(user, 2) == 0)
    there, other = [user for at in range(40) if partition_of(user := f"v{at}", 2) == 1][:2]
    batch = [{"user_id": user, "event": "buy"} for user in (there, here, there, other, there)]
    driver.pipe(json.dumps(batch).encode(), T)
    assert driver.repartitioned == 2
    assert {user: set(driver.members(user, T)) for user in (here, there, other)} == {
        here: set(), there: {"thrice"}, other: set()
    }  # fmt: skip


def test_one_bad_record_of_a_batch_is_a_dead_letter_of_its_own_that_can_be_sent_again() -> None:
    driver = Driver(RULES)
    good = {"user_id": "ann", "event": "buy"}
    driver.pipe(
        json.dumps([good, {"user_id": "bob"}, good, 5, good]).encode(), T, key=b"k", headers=[("h", b"1")]
    )
    assert set(driver.members("ann", T)) == {"thrice"}
    assert [(each.code, each.record.value) for each in driver.dead] == [
        ("event", b'{"user_id": "bob"}'), ("invalid", b"5")
    ]  # fmt: skip
    headers = dict(dead_letter_headers(driver.dead[0]))
    assert (driver.dead[0].record.key, headers["h"], headers["source.offset"]) == (b"k", b"1", b"0")


def test_a_repeated_id_within_a_batch_counts_once() -> None:
    driver = Driver(RULES)
    same = {"user_id": "ann", "event": "buy", "id": "i"}
    driver.pipe(json.dumps([same, same, same, same | {"id": "j"}]).encode(), T)
    assert driver.members("ann", T) == {}
    driver.pipe(json.dumps([same | {"id": "k"}]).encode(), T)
    assert set(driver.members("ann", T)) == {"thrice"}


@pytest.mark.parametrize("writes", range(0, 30, 2))
def test_a_part_that_would_make_a_row_too_large_is_refused_alone_through_any_crash(writes: int) -> None:
    size = 8_000
    driver = Driver(RULES, changelog_bytes=size)
    large = "x" * (by_records_bytes(Limits(changelog_bytes=size)) * 2 // 3)
    updates = [
        {"user_id": "ann", "type": "profile", "set": {"a": large}},
        {"user_id": "bob", "event": "buy"},
        {"user_id": "ann", "type": "profile", "set": {"b": large}},
        {"user_id": "ann", "type": "profile", "add": {"points": 2}},
        {"user_id": "ann", "type": "profile", "set": {"c": large}},
    ]
    driver.send(json.dumps(updates).encode(), T)
    driver.crash_after(writes)
    run_through(driver, Random(writes))
    assert sorted(letters(driver)) == [
        ("row_too_large", json.dumps(updates[2]).encode()), ("row_too_large", json.dumps(updates[4]).encode())
    ]  # fmt: skip
    assert set(driver.members("ann", T)) == {"points"}
    assert driver.members("bob", T) == {}


def test_items_of_sensors_data_concern_no_user_and_are_counted() -> None:
    driver = Driver(RULES, limits=limits(a_format("sensors")))
    item = {"type": "item_set", "item_id": "1", "item_type": "a", "properties": {}}
    buy = {"type": "track", "distinct_id": 7, "event": "buy"}
    step = driver.pipeline.apply([Rec(EVENTS, 0, 0, T, None, json.dumps([item, buy, item]).encode())])
    assert (step.counts.skipped, step.counts.applied, step.counts.records) == (2, 1, 3)
    metrics = WorkerMetrics(Warnings())
    metrics.step_done(0, step, 0.0)
    assert metrics.records.labels("skipped")._value.get() == 2


def test_profile_operations_of_sensors_data_change_attributes_as_they_say() -> None:
    rules = """
audiences:
  - {id: fan, name: Fan, rule: {attribute: movies, all_of: [Up, Her]}}
  - {id: known, name: Known, rule: {attribute: name, exists: true}}
"""
    driver = Driver(rules, limits=limits(a_format("sensors")))

    def send(kind: str, **properties: Any) -> set[str]:
        driver.pipe({"type": kind, "distinct_id": "ann", "properties": properties}, T)
        return set(driver.members("ann", T))

    assert send("profile_append", movies=["Up"]) == set()
    assert send("profile_append", movies=["Up", "Her"], name="x") == {"fan", "known"}
    row = driver.pipeline.look("default", "ann", T)
    assert row is not None
    assert row.attributes == {"movies": ["Up", "Her"], "name": ["x"]}
    assert send("profile_unset", name=None) == {"fan"}
    assert send("profile_set", name="y") == {"fan", "known"}
    assert send("profile_delete") == set()
    row = driver.pipeline.look("default", "ann", T)
    assert row is not None
    assert row.attributes == {}
    assert driver.codes() == []


def test_a_binary_cloudevent_keeps_its_headers_and_a_mapping_its_key_on_the_way_to_its_user() -> None:
    user = next(user for user in USERS if partition_of(user, 2) == 1)
    headers = [(f"ce_{name}", b"1.0") for name in ("specversion", "id", "source")]
    headers += [("ce_type", b"buy"), ("ce_subject", user.encode())]
    driver = Driver(RULES, partitions=2, limits=limits(a_format("cloudevents", "properties")))
    for at in range(3):
        told = [*headers[:1], ("ce_id", str(at).encode()), *headers[2:]]
        driver.pipe({"n": 1}, T, headers=told)
    assert (driver.repartitioned, driver.codes(), set(driver.members(user, T))) == (3, [], {"thrice", "odd"})
    mapping = {
        "user_id": "user",
        "event": {"constant": "buy"},
        "properties": {"n": {"key": True, "as": "number"}},
    }
    driver = Driver(RULES, partitions=2, limits=limits(a_format("mapping", mapping=mapping)))
    driver.pipe({"user": user}, T, key=b"2")
    assert (driver.repartitioned, driver.codes(), set(driver.members(user, T))) == (1, [], {"odd"})


def test_a_mapping_applies_the_event_and_the_update_of_one_record() -> None:
    mapping = [
        {"user_id": "user", "event": {"constant": "buy"}, "properties": {"n": "n"}},
        {"user_id": "user", "add": {"points": "n"}},
    ]
    driver = Driver(RULES, partitions=2, limits=limits(a_format("mapping", mapping=mapping)))
    for user in USERS:
        driver.pipe({"user": user, "n": 2}, T)
    assert all(set(driver.members(user, T)) == {"odd", "points"} for user in USERS)
    driver.pipe({"user": "u1", "n": "x"}, T)
    assert driver.codes() == ["invalid"]

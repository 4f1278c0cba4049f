"""Records of the type ``delete``: the user leaves, is forgotten, and may come back as somebody new."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.evaluate.partition.request import requested_before
from tables.codec import row_key
from tests.driver.driver import Driver
from tests.driver.partition import REPARTITION

T = 1_700_000_000_000
AUDIENCES = json.dumps(
    {
        "audiences": [
            {"id": "buyers", "name": "Buyers", "rule": {"event": "buy"}},
            {"id": "quiet", "name": "Quiet", "rule": {"not": {"event": "buy"}}},
            {"id": "rich", "name": "Rich", "rule": {"attribute": "cents", "gte": 1}},
        ]
    }
)


def erase(driver: Driver, user: str, at_ms: int, **rest: Any) -> None:
    driver.pipe({"type": "delete", "user_id": user, **rest}, at_ms, key=user.encode())


def told(driver: Driver) -> list[tuple[str, int, str, str]]:
    return [(each["audience"], each["seq"], each["event"], each["cause"]) for each in driver.transitions]


def settle(driver: Driver) -> None:
    """What is acknowledged is noted, and who was erased is buried."""
    for at in range(3):
        driver.profile("somebody", T + 10_000_000 + at, set={"x": at})


def known_of(driver: Driver) -> bytes:
    """The bytes of all live records of the changelog, and of the store."""
    (part,) = driver.parts
    part.pipeline.flush()
    log = driver.log("changelog", 0)
    log.compact()
    kept = [(each.key, each.value, each.headers) for each in log.records if each.value is not None]
    return repr((kept, part.store.scan(b"", 100), part.store.notes())).encode()


def test_the_user_leaves_every_audience_and_nobody_is_known() -> None:
    driver = Driver(AUDIENCES)
    driver.profile("ann", T, set={"cents": 5})
    driver.track("ann", "buy", T + 1)
    erase(driver, "ann", T + 2, id="request")
    assert told(driver)[-2:] == [("buyers", 2, "exit", "delete"), ("rich", 2, "exit", "delete")]
    assert driver.transitions[-1]["trigger"]["id"] == "request"
    assert driver.parts[0].pipeline.look("default", "ann", T + 3) is None


def test_who_comes_back_is_new_and_the_numbers_go_on() -> None:
    driver = Driver(AUDIENCES)
    driver.track("ann", "buy", T, id="once")
    erase(driver, "ann", T + 1)
    settle(driver)
    driver.track("ann", "view", T + 2)
    assert told(driver)[-1] == ("quiet", 1, "enter", "event")
    driver.track("ann", "buy", T + 3, id="once")
    assert ("buyers", 3, "enter", "event") in told(driver)
    row = driver.parts[0].pipeline.look("default", "ann", T + 20_000_000)
    assert row is not None
    assert row.attributes == {}


@pytest.mark.parametrize("project", ["default", "shop"])
def test_nothing_of_the_user_is_left_when_the_exits_are_sent(project: str) -> None:
    driver = Driver(AUDIENCES)
    driver.profile("ann-the-user", T, set={"cents": 77_777}, identities={"email": "a@b.c"}, project=project)
    driver.track("ann-the-user", "buy", T + 1, id="the-id", project=project)
    erase(driver, "ann-the-user", T + 2, project=project)
    settle(driver)
    known = known_of(driver)
    assert [each for each in (b"ann-the-user", b"a@b.c", b"cents") if each in known] == []
    (part,) = driver.parts
    erased = part.pipeline.erased.of(row_key(project, "ann-the-user"))
    assert erased is not None
    assert erased.project == project


def test_a_restart_without_the_store_knows_who_was_erased() -> None:
    driver = Driver(AUDIENCES)
    driver.track("ann", "buy", T)
    erase(driver, "ann", T + 1)
    settle(driver)
    driver.commit_offsets()
    driver.restart(lose_store=True)
    driver.track("ann", "buy", T + 2)
    assert ("buyers", 3, "enter", "event") in told(driver)


def test_what_was_on_its_way_when_a_request_was_made_does_not_count() -> None:
    driver = Driver(AUDIENCES)
    driver.track("ann", "buy", T)
    late = driver.send({"user_id": "ann", "event": "buy"}, T + 1, key=b"ann")
    driver.parts[0].inbox.remove(late)
    body = {"type": "delete", "user_id": "ann", "id": "request"}
    header = requested_before({"events": {0: late.offset + 1}})
    driver.send(body, T + 9_000_000, topic=REPARTITION, key=b"ann", headers=[header])
    driver.run()
    assert driver.parts[0].pipeline.stream_time_ms == T, "a request doesn't move the clock"
    driver.parts[0].inbox.append(late)
    driver.run()
    assert told(driver)[-1] == ("buyers", 2, "exit", "delete")
    driver.track("ann", "buy", T + 2)
    assert told(driver)[-1] == ("buyers", 3, "enter", "event")


def test_a_request_that_can_not_be_read_is_a_dead_letter() -> None:
    driver = Driver(AUDIENCES)
    driver.pipe(
        {"type": "delete", "user_id": "ann"}, T, topic=REPARTITION, headers=[("erasure.before", b"{")]
    )
    assert [each.code for each in driver.dead] == ["invalid"]


def test_a_user_of_whom_nothing_is_known_can_be_erased() -> None:
    driver = Driver(AUDIENCES)
    erase(driver, "ann", T)
    settle(driver)
    assert not [each for each in driver.transitions if each["user_id"] == "ann"]
    assert driver.parts[0].pipeline.erased.of(b"ann") is not None

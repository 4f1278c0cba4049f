"""Events on their way to destinations ``on: event``: which ones, and that each comes out once."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from agents.deliver.definitions.on_event import event_destinations
from agents.deliver.definitions.parse import load_destinations
from rules.compile.with_destinations import EventDestinations
from tests.driver.driver import Crash, Driver

AUDIENCES = """
audiences:
- id: buyers
  name: Buyers
  rule: {event: buy, where: {price: {gte: 10}}, count: {gte: 1}, within: 1h}
- id: gold
  name: Gold
  rule: {attribute: tier, eq: gold}
- id: wishers
  name: Wishers
  rule:
    all:
    - {event: wish}
    - {not: {event: leave}}
"""
START_MS = 1_790_000_000_000


def destinations(text: str) -> EventDestinations:
    return event_destinations(load_destinations([("test.yaml", f"destinations:\n{text}")]))


def one(name: str, more: str) -> str:
    return f"- {{name: {name}, kind: kafka, on: event, {more}, kafka: {{topic: t}}}}\n"


def driver(text: str, **more: Any) -> Driver:
    made = Driver(AUDIENCES, **more)
    made.destinations = destinations(text)
    made.restart()
    return made


def buy(price: float, at_s: int, user: str = "ann", **more: Any) -> tuple[dict[str, Any], int]:
    body = {"user_id": user, "event": "buy", "properties": {"price": price}, **more}
    return body, START_MS + at_s * 1000


def sent(made: Driver, name: str = "crm") -> list[dict[str, Any]]:
    return [each for each in made.transitions if each.get("destination") == name]


def test_each_event_that_the_rule_asks_for_is_sent_while_the_user_is_in() -> None:
    made = driver(one("crm", "audiences: [buyers]"))
    for value, at_ms in (buy(5, 0), buy(10, 1, id="r1"), buy(5, 2), buy(12, 3)):
        made.send(value, at_ms)
    made.send({"user_id": "ann", "event": "view"}, START_MS + 4_000)
    made.run()
    first, second = sent(made)
    assert first == {
        "id": first["id"],
        "event": "event",
        "project": "default",
        "audience": "",
        "audience_name": "Buyers",
        "audience_version": 1,
        "user_id": "ann",
        "seq": 1,
        "at": "2026-09-21T14:13:21.000Z",
        "cause": "event",
        "trigger": {"event": "buy", "id": "r1", "time": "2026-09-21T14:13:21.000Z"},
        "entered_at": "2026-09-21T14:13:21.000Z",
        "exit_at": "2026-09-21T15:13:21.000Z",
        "destination": "crm",
        "filter": "buyers",
        "properties": {"price": 10},
    }
    assert (second["seq"], second["properties"]) == (2, {"price": 12})
    assert second["exit_at"] == "2026-09-21T15:13:23.000Z"
    enters = [each["event"] for each in made.transitions if "destination" not in each]
    assert enters == ["enter"]  # transitions are what they were
    assert list(made.members("ann", START_MS + 5_000)) == ["buyers"]


def test_a_rule_is_a_filter_for_the_events_that_a_destination_names() -> None:
    text = one("crm", "audiences: [gold], events: [{event: buy, where: {price: {gt: 7}}}, view]")
    made = driver(text + one("all", "where: {user_id: ann}") + one("any", "audiences: [gold]"))
    gold = {"type": "profile", "user_id": "ann", "set": {"tier": "gold"}}
    for value, at_ms in (buy(8, 0), (gold, START_MS + 1_000), buy(7, 2), buy(8, 3), buy(9, 3, user="bob")):
        made.send(value, at_ms)
    made.send({"user_id": "ann", "event": "view"}, START_MS + 4_000)
    made.send({"type": "profile", "user_id": "ann", "set": {"tier": "tin"}}, START_MS + 5_000)
    made.send({"user_id": "ann", "event": "view"}, START_MS + 6_000)
    made.run()
    assert [(each["trigger"]["event"], each["seq"]) for each in sent(made)] == [("buy", 1), ("view", 2)]
    assert [each.get("properties") for each in sent(made)] == [{"price": 8}, None]
    # What a where says of the message is looked at when it is delivered.
    assert [(each.get("filter", ""), each["user_id"]) for each in sent(made, "all")].count(("", "ann")) == 5
    assert [each["trigger"]["event"] for each in sent(made, "any")] == ["buy", "buy", "view"]


def test_an_event_that_ends_the_membership_is_not_sent() -> None:
    made = driver(one("crm", "audiences: [wishers, gold]"))
    for at_s, name in enumerate(("wish", "leave", "wish")):
        made.send({"user_id": "ann", "event": name}, START_MS + at_s * 1000)
    made.run()
    assert [(each["trigger"]["event"], each["filter"]) for each in sent(made)] == [("wish", "wishers")]


def test_a_repeat_is_not_sent_and_a_late_event_is_sent_once_it_comes() -> None:
    made = driver(one("crm", "events: buy"))
    made.send(*buy(1, 10, id="r1"))
    made.send(*buy(1, 11, id="r1"))
    made.send(*buy(2, 12, time=START_MS))
    made.run()
    told = [(each["at"][17:19], each["trigger"]["time"][17:19]) for each in sent(made)]
    assert told == [("30", "30"), ("32", "20")]


def test_properties_of_any_size_go_along_and_each_event_of_a_list() -> None:
    made = driver(one("crm", "events: ['*']"))
    text = 'ä\0"' * 3_000
    made.send(
        json.dumps([buy(1, 0, id=None)[0] | {"properties": {"t": text}}, buy(2, 0)[0]]).encode(), START_MS
    )
    made.run()
    assert [each["properties"] for each in sent(made)] == [{"t": text}, {"price": 2}]


def test_whatever_crashes_each_event_comes_out_once_or_again_as_it_was() -> None:
    """The driver itself checks numbers without gaps, and that what comes again is the same."""
    text = one("crm", "audiences: [buyers]") + one("lake", "events: ['*']")
    random = Random(7)
    records = [buy(random.choice([5, 20]), at_s, user=random.choice("abc")) for at_s in range(24)]

    def play(crash_after: int | None) -> Driver:
        made = driver(text, cache_rows=2)
        for value, at_ms in records:
            made.send(value, at_ms)
        if crash_after is not None:
            made.crash_after(crash_after)
        while True:
            try:
                made.run(lambda: 5)
                return made
            except Crash:
                made.restart(lose_store=crash_after is not None and crash_after % 3 == 0)

    whole = play(None).sent
    bought = [value["user_id"] for value, _ in records if value["properties"]["price"] == 20]
    assert len(whole) == len(records) + len(bought) + len(set(bought))
    again = 0
    for crash_after in range(40):
        crashed = play(crash_after)
        assert crashed.sent == whole
        again += crashed.sent_again
    assert again


def test_without_such_destinations_rules_are_the_same_object() -> None:
    made = Driver(AUDIENCES)
    assert made.destinations.beside(made.rules) is made.rules
    other = destinations(one("crm", "events: [buy]"))
    assert other.beside(made.rules) is other.beside(made.rules)


def test_a_destination_that_comes_during_a_step_gets_the_events_from_the_next_one_on() -> None:
    made = Driver(AUDIENCES)
    pipeline = made.parts[0].pipeline
    draft = pipeline.begin()
    pipeline.send(destinations(one("crm", "events: [buy]")))
    assert pipeline.rules is made.rules
    pipeline.finish(draft)
    assert [each.name for each in pipeline.rules.project("default").destinations] == ["crm"]
    pipeline.define(made.rules)
    assert pipeline.rules is not made.rules

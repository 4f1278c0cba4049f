"""Batch audiences that are computed once, whose definitions come to the rows after their instants."""

from __future__ import annotations

import pytest

from rules.compile.rule_set import RuleSet
from tests.driver.driver import Driver, ruleset
from tests.model import instant_text

T = 1_700_000_000_000
BUYERS = "{id: buyers, name: Buyers, rule: {event: buy, count: {gte: 2}}}"
US = "{id: us, name: US, type: batch, schedule: once, rule: {attribute: country, eq: US}}"
TWICE = "{id: twice, name: Twice, type: batch, schedule: once, rule: {event: buy, count: {gte: 2}}}"
IN_BUYERS = "{id: both, name: Both, type: batch, schedule: once, rule: {audience: buyers}}"


def publish(driver: Driver, rules: RuleSet) -> None:
    """A definition comes to a running worker, which then looks at every row."""
    driver.rules = rules
    for part in driver.parts:
        part.pipeline.define(rules)
        while part.pipeline.sweeping:
            part.computed.append((part.pipeline.sweep(1), []))
    driver.flush()


def test_who_is_idle_since_is_decided_at_the_instant_and_others_at_once() -> None:
    driver = Driver(BUYERS)
    for user in ("idle", "looking", "busy"):
        driver.profile(user, T, set={"country": "US"})
    driver.track("busy", "look", T + 300, id="seen")
    driver.track("looking", "look", T + 300)  # nothing is kept of it
    publish(driver, ruleset(f"audiences: [{BUYERS}, {US}]", created_ms=T + 200))
    driver.advance(T + 1000)
    for user in ("idle", "looking"):
        assert driver.story(user) == [("enter", "us", instant_text(T + 200), "time")]
    assert driver.story("busy") == [("enter", "us", instant_text(T + 300), "definition")]


def test_it_finds_what_other_audiences_know_of_its_conditions() -> None:
    driver = Driver(BUYERS)
    for user in ("idle", "busy"):
        driver.track(user, "buy", T)
        driver.track(user, "buy", T)
    driver.track("busy", "look", T + 300, id="seen")
    publish(driver, ruleset(f"audiences: [{BUYERS}, {TWICE}, {IN_BUYERS}]", created_ms=T + 200))
    driver.track("idle", "look", T + 400)
    assert driver.story("idle")[1:] == [
        ("enter", "both", instant_text(T + 200), "time"),
        ("enter", "twice", instant_text(T + 200), "time"),
    ]
    assert driver.story("busy")[1:] == [
        ("enter", "both", instant_text(T + 300), "definition"),
        ("enter", "twice", instant_text(T + 300), "definition"),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        "count: {gte: 2}",
        "count: {gte: 2}, within: 1h",
        "sum: {property: p, gte: 3}, within: 1h",
        "distinct: {property: p, gte: 2}, within: 1h",
        "where: {on: {newer_than: 9d}}, count: {gte: 2}, within: 1h",
    ],
)
def test_it_finds_what_an_audience_knew_that_went_when_it_came(asked: str) -> None:
    rule = f"{{event: buy, {asked}}}"
    driver = Driver(f"{{id: buyers, name: Buyers, rule: {rule}}}")
    for number in (1, 2):
        driver.track("ann", "buy", T, properties={"on": instant_text(T), "p": number})
    published = f"{{id: twice, name: Twice, type: batch, schedule: once, rule: {rule}}}"
    publish(driver, ruleset(published, created_ms=T + 200))
    driver.track("ann", "look", T + 400)
    assert driver.story("ann")[1:] == [("enter", "twice", instant_text(T + 200), "time")]


def test_it_is_decided_once_whatever_changes_and_restarts_come_later() -> None:
    driver = Driver(BUYERS)
    driver.profile("ann", T, set={"country": "US"})
    driver.profile("bob", T, set={"country": "DE"})
    published = f"audiences: [{BUYERS}, {US}]"
    publish(driver, ruleset(published, created_ms=T - 1))
    driver.profile("ann", T + 5, set={"country": "DE"})
    driver.profile("bob", T + 5, set={"country": "US"})
    driver.profile("new", T + 5, set={"country": "US"})
    driver.restart()
    rules = ruleset(f"audiences: [{US}]", created_ms=T - 1)
    publish(driver, rules)
    driver.restart(lose_store=True)
    driver.advance(T + 100)
    assert driver.members("ann", T + 100) == {"us": T}
    assert driver.members("bob", T + 100) == driver.members("new", T + 100) == {}


def test_published_anew_it_is_computed_anew() -> None:
    driver = Driver(BUYERS)
    for user, country in (("ann", "US"), ("bob", "DE")):
        driver.profile(user, T, set={"country": country})
    publish(driver, ruleset(US, created_ms=T - 1))
    driver.profile("bob", T + 5, set={"country": "US"})
    driver.profile("ann", T + 5, set={"country": "DE"})
    publish(driver, ruleset(US, version=2, created_ms=T + 4))
    assert driver.members("bob", T + 5) == {"us": T + 5}
    assert driver.story("ann")[1:] == [("exit", "us", instant_text(T + 5), "definition")]


def test_one_that_comes_before_its_instant_waits_for_it() -> None:
    driver = Driver(BUYERS)
    driver.profile("ann", T, set={"country": "US"})
    publish(driver, ruleset(US, created_ms=T + 10))
    assert driver.story("ann") == []
    driver.profile("ann", T + 20, set={"country": "DE"})
    assert driver.story("ann") == [("enter", "us", instant_text(T + 10), "time")]

"""Which audiences are looked at: those whose anchors the user has met."""

from __future__ import annotations

from rules.compile.readers import Readers
from tests.driver.driver import Driver, ruleset

T = 1_700_000_000_000
HOUR = 3_600_000


def readers(definitions: str, event: str) -> Readers:
    """Of the condition on events of a name."""
    rules = ruleset(definitions).project("default")
    (key,) = [key for key, each in rules.conditions.items() if each.names == (event,)]
    return rules.readers[key]


def test_an_audience_waits_for_the_rarest_condition_without_which_it_cannot_hold() -> None:
    found = readers(
        """
audiences:
  - {id: a, name: A, rule: {all: [{event: view}, {event: cart}, {not: {event: buy, within: 1h}}]}}
  - {id: b, name: B, rule: {all: [{event: view}, {not: {event: buy, within: 1h}}]}}
  - {id: c, name: C, rule: {not: {event: buy, within: 1h}}}
""",
        "buy",
    )
    assert found.always == (2,)
    assert sorted(found.anchored.values()) == [(0,), (1,)]
    assert found.of({}) == [2]
    assert sorted(found.of(dict.fromkeys(found.anchored))) == [0, 1, 2]


def test_either_part_of_an_any_may_do_without_the_other() -> None:
    found = readers("{id: a, name: A, rule: {any: [{event: view}, {not: {event: buy, within: 1h}}]}}", "buy")
    assert (found.always, found.anchored) == ((0,), {})


def test_conditions_that_python_takes_for_equal_are_no_anchors_of_each_other() -> None:
    driver = Driver(
        "{id: a, name: A, rule: {any: [{event: buy, where: {p: true}}, {event: buy, where: {p: 1}},"
        " {all: [{event: view}, {event: buy, where: {p: 2}}]}]}}"
    )
    driver.track("ann", "buy", T, properties={"p": 1})
    driver.track("bob", "buy", T, properties={"p": True})
    assert driver.members("ann", T) == driver.members("bob", T) == {"a": T}

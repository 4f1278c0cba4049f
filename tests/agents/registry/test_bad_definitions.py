"""Whatever stands on the definitions topic: it is used or told, it raises nothing, and rules still run."""

from __future__ import annotations

import json
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.kafka.consumed import Consumed
from agents.registry.audiences import Audiences, encode_audience, plan_changes, record_key
from agents.registry.audiences_together import compile_usable
from app.kafka.configured import parse_published
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet
from rules.model.keys import audience_key
from rules.parse.definitions import load_definitions
from tests.driver.driver import Driver
from tests.strategies.fuzzing import usual

T = 1_700_000_000_000
PARSE = partial(parse_published, max_samples=1000)
TOPIC = "turnstile.audiences"
GOOD: dict[str, Any] = {"id": "fans", "name": "Fans", "rule": {"event": "view", "count": {"gte": 2}}}
DEEP = 2_000


def value_of(definition: object, **more: object) -> bytes:
    return json.dumps({"version": 1, "definition": definition, **more}).encode()


def nested(levels: int, **rule: object) -> dict[str, object]:
    """A definition whose rule has so many ``not`` around it."""
    inner: object = rule or {"event": "view"}
    for _ in range(levels):
        inner = {"not": inner}
    return {**GOOD, "rule": inner}


def take(found: Audiences, key: bytes | None, value: bytes | None, offset: int = 0) -> bool:
    return found.take(Consumed(TOPIC, 0, offset, T, key, value, []))


BAD: list[tuple[bytes | None, bytes]] = [
    (b"default/fans", b"[" * DEEP + b"]" * DEEP),
    (b"default/fans", b'{"version": 2, "definition": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}"),
    (b"default/fans", b'{"version": 2, "definition": {"rule": ' + b"[" * 400 + b"]" * 400 + b"}}"),
    (b"default/fans", value_of(nested(150))),
    (b"default/fans", b"not json"),
    (b"default/fans", b"\xff\xfe"),
    (b"default/fans", b"[]"),
    (b"default/fans", value_of([])),
    (b"default/fans", value_of({"audiences": [GOOD, {**GOOD, "id": "b", "name": "B"}]})),
    (b"default/fans", value_of(GOOD, version="2")),
    (b"default/fans", value_of(GOOD, version=2.5)),
    (b"default/fans", value_of(GOOD, version=-1)),
    (b"default/fans", value_of(GOOD, version=2**70)),
    (b"default/fans", value_of(GOOD, created_ms=2**62)),
    (b"default/fans", value_of({**GOOD, "id": 2**70})),
    (b"default/fans", value_of({**GOOD, "rule": {"event": "v", "count": {"gte": 10**30}}})),
    (b"default/fans", value_of({**GOOD, "rule": {"any": [{"event": "v"}] * 200_000}})),
    (b"default/other", value_of(GOOD)),
    (b"fans", value_of(GOOD)),
    (b"\xff", value_of(GOOD)),
    (b"\xff", b"not json"),
    (None, value_of(GOOD)),
    (None, b""),
]


@pytest.mark.parametrize(("key", "value"), BAD, ids=range(len(BAD)))
def test_a_record_that_can_not_be_used_leaves_the_one_before_in_force(
    key: bytes | None, value: bytes
) -> None:
    found = Audiences(TOPIC, PARSE)
    assert take(found, b"default/fans", value_of(GOOD))
    assert not take(found, key, value, 7)
    assert found.published.keys() == {b"default/fans"}
    told = found.unusable[key]
    assert told.reason
    assert f"{TOPIC}, offset 7, key " in str(told)
    assert str(told).isprintable() or "\n" in told.reason
    compile_usable(found.published, 1000)


def test_a_bad_record_is_overwritten_with_a_version_above_its_own() -> None:
    found = Audiences(TOPIC, PARSE)
    (audience,) = load_definitions([("x", json.dumps(GOOD))])
    assert take(found, b"default/fans", value_of(GOOD))
    assert not take(found, b"default/fans", b'{"version": 9, "definition": {}}', 1)
    assert [each.version for each in plan_changes(found.published, [audience], found.unusable_versions)] == [
        10
    ]
    assert not take(found, b"default/fans", b"not json", 20)
    (change,) = plan_changes(found.published, [audience], found.unusable_versions)
    assert (change.action, change.version) == ("changed", 22)
    assert take(found, b"default/fans", encode_audience(PublishedAudience(audience, 22)), 21)
    assert not found.unusable
    assert not found.unusable_versions


@given(st.data())
@settings(max_examples=usual(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_json_is_used_or_told(data: st.DataObject) -> None:
    """Definitions with parts put elsewhere, taken out, or replaced by any JSON."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    anything = st.recursive(
        scalars,
        lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    )
    document: Any = {
        **GOOD,
        "rule": {
            "all": [
                {"event": "view", "sum": {"property": "p", "gte": 1}, "within": "1h"},
                {"audience": "others", "for": "1d"},
                {"attribute": "a", "older_than": "3d"},
                {
                    "sequence": [
                        {"event": "a", "as": "x"},
                        {"event": "b", "where": {"q": {"eq": {"ref": "x.q"}}}},
                    ]
                },
            ]
        },
    }
    for _ in range(data.draw(st.integers(0, 3))):
        places = list(_places(document))
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = data.draw(anything)
    found = Audiences(TOPIC, PARSE)
    version = data.draw(st.integers(-1, 3) | scalars)
    take(found, b"default/fans", json.dumps({"version": version, "definition": document}).encode())
    rules, faults = compile_usable(found.published, 1000)
    assert len(rules.project("default").audiences) + len(faults) == len(found.published)


def _places(node: Any) -> Any:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, each in list(children):
        yield node, key
        yield from _places(each)


def driver_of(rules: RuleSet) -> Driver:
    driver = Driver("{id: x, name: X, rule: {event: never}}")
    driver.rules = rules
    for part in driver.parts:
        part.pipeline.define(rules)
    return driver


def published(*definitions: dict[str, Any]) -> dict[bytes, PublishedAudience]:
    found = {}
    for number, each in enumerate(definitions):
        audience = PARSE(json.dumps(each), "x")
        found[record_key(audience)] = PublishedAudience(audience, 1, created_ms=number)
    return found


def test_definitions_that_are_wrong_only_together_are_told_and_still_run() -> None:
    rules, faults = compile_usable(
        published(
            {"id": "a", "name": "A", "rule": {"any": [{"audience": "b"}, {"event": "view"}]}},
            {"id": "b", "name": "B", "rule": {"not": {"audience": "a"}}},
            {"id": "c", "name": "A", "rule": {"audience": "nowhere"}},
        ),
        1000,
    )
    assert {key: fault[0] for key, fault in faults.items()} == {
        b"default/b": "definition_set_aside",
        b"default/c": "definition_conflict",
    }
    assert "in a circle: a -> b -> a" in faults[b"default/b"][1]
    assert [each.id for each in rules.project("default").audiences] == ["a", "c"]
    driver = driver_of(rules)
    for number in range(20):
        driver.send({"user_id": "u", "event": "view" if number % 3 else "buy"}, T + number)
    driver.run()
    assert not driver.dead


def test_of_two_audiences_with_one_key_the_later_one_is_set_aside() -> None:
    seen: dict[int, str] = {}
    for number in range(400_000):
        name = f"a{number}"
        other = seen.setdefault(audience_key("default", name), name)
        if other != name:
            break
    both = [{"id": each, "name": each, "rule": {"event": each}} for each in (name, other)]
    rules, faults = compile_usable(published(*both), 1000)
    assert {key: fault[0] for key, fault in faults.items()} == {
        f"default/{other}".encode(): "definition_set_aside"
    }
    assert [each.id for each in rules.project("default").audiences] == [name]


def test_a_long_chain_of_references_compiles_in_any_order() -> None:
    many = 1_500
    chain = [{"id": "a0", "name": "a0", "rule": {"event": "view"}}]
    chain += [{"id": f"a{at}", "name": f"a{at}", "rule": {"audience": f"a{at - 1}"}} for at in range(1, many)]
    Random(1).shuffle(chain)
    rules, faults = compile_usable(published(*chain), 1000)
    assert not faults
    assert [each.id for each in rules.project("default").audiences] == [f"a{at}" for at in range(many)]


def test_the_deepest_rule_that_is_read_also_runs() -> None:
    found, rule = Audiences(TOPIC, PARSE), {"event": "view", "within": "1h"}
    levels = next(
        at for at in range(200, 0, -2) if take(found, b"default/fans", value_of(nested(at, **rule)))
    )
    rules, faults = compile_usable(found.published, 1000)
    assert levels >= 20
    assert not faults
    driver = driver_of(rules)
    driver.send({"user_id": "u", "event": "view"}, T)
    driver.run()
    assert len(driver.transitions) == (levels % 2 == 0)

"""Predicates and conditions on attributes: the native core against Python's closures."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rules.conditions.attributes import compile_attribute
from rules.model import language
from rules.parse.definitions import load_published
from rules.predicates.compiled import changes_of, compile_dated_predicate
from rules.state.row import Row
from rules.time.calendar import calendar_of
from rules.time.instants import FAR_MS
from tests.audiences import predicates
from tests.core.asked import UnknownRule, items, native_attribute, native_predicate, packed
from tests.strategies.conditions import attribute_condition
from tests.strategies.dice import Dice, drawn
from tests.strategies.domains import ZONES, Domain, dates_near, some_domain
from tests.strategies.fuzzing import examples_of
from tests.strategies.predicates import where

Json = Any
NAMES = ["p", "q", "o", "o.n", "o.n.m", "o.l", "n", "m", "n.m", "l"]
NUMBERS = [
    2**53,
    2**53 + 1,
    float(2**53),
    2**63 - 1,
    -(2**63),
    1e300,
    -1e300,
    0.5,
    1e11,
    99_999_999_999.9,
    -1e11,
]
TEXTS = [
    "straße",
    "STRASSE",
    "ǅ",
    "ﬃ",
    "İ",
    "ς",
    "Σ",
    "b",
    "\0",
    "2024-02-29",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
]


def value(dice: Dice, domain: Domain, depth: int = 2) -> Json:
    kind = dice.pick(["usual", "usual", "date", "number", "text", "list", "object"])
    if kind == "list" and depth:
        return [value(dice, domain, depth - 1) for _ in range(dice.whole(0, 3))]
    if kind == "object" and depth:
        return thing(dice, domain, depth - 1)
    if kind == "date":
        return dice.pick(dates_near(domain.start_ms))
    if kind == "number":
        return dice.pick(NUMBERS)
    return dice.pick(TEXTS) if kind == "text" else dice.pick(domain.values)


def thing(dice: Dice, domain: Domain, depth: int = 2) -> Json:
    return {name: value(dice, domain, depth) for name in NAMES if not dice.once_in(3)}


def hold_against_python(predicate: language.Predicate, zone: str, found: Json, instants: list[int]) -> None:
    try:
        native = native_predicate(predicate, zone)
    except UnknownRule as refused:
        assume("regular expression" not in str(refused))  # some are Python's alone
        raise
    calendar = calendar_of(zone)
    check, changes = compile_dated_predicate(predicate, calendar), changes_of(predicate, calendar)
    for at_ms in instants:
        bytes_ = packed(found)
        assert native.holds(bytes_, at_ms) == check(found, at_ms), at_ms
        change_ms = min((each(found, at_ms) for each in changes), default=FAR_MS)
        assert native.next_change(bytes_, at_ms) == change_ms, at_ms


@settings(max_examples=examples_of(600), deadline=None)
@given(st.data())
def test_where_as_definitions_have_it_is_what_python_makes_of_it(data: st.DataObject) -> None:
    dice = data.draw(st.composite(drawn)())
    domain, zone = some_domain(dice), dice.pick(ZONES)
    rule = {"event": "x", "where": where(dice, domain)}
    audience = load_published("t", json.dumps({"id": "a", "name": "A", "rule": rule, "timezone": zone}))
    assert isinstance(audience.rule, language.EventCondition)
    assert audience.rule.where is not None
    instants = [domain.start_ms + step for step in (0, 1, dice.pick(domain.steps), dice.pick(domain.idles))]
    hold_against_python(audience.rule.where, zone, thing(dice, domain), instants)


names = st.sampled_from(["a", "b", "price", "größe", "x y", "a.b", "b.a.price", "1", "~"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["a", "price", "2024-05-01", 1, 1.0, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, json_values, max_size=6)


@settings(max_examples=examples_of(600), deadline=None)
@given(predicates, st.sampled_from(ZONES), objects, st.integers(-(2**45), 2**48))
@example(language.Test(("a",), "gt", 2**53), "UTC", {"a": float(2**53 + 2)}, 0)
def test_any_predicate_of_any_object_is_what_python_makes_of_it(
    predicate: language.Predicate, zone: str, found: Json, at_ms: int
) -> None:
    try:
        compile_dated_predicate(predicate, calendar_of(zone))
    except ValueError:
        return  # no parser lets it pass
    hold_against_python(predicate, zone, found, [at_ms, at_ms + 1])


@settings(max_examples=examples_of(400), deadline=None)
@given(st.data())
def test_conditions_on_attributes_change_when_python_says(data: st.DataObject) -> None:
    dice = data.draw(st.composite(drawn)())
    domain, zone = some_domain(dice), dice.pick(ZONES)
    source = {"id": "a", "name": "A", "rule": attribute_condition(dice, domain), "timezone": zone}
    rule = load_published("t", json.dumps(source)).rule
    assert isinstance(rule, language.AttributeCondition)
    names = ["x", "y", "d", "x.n", "x.n.m", "l", "d.l"]
    attributes = {name: value(dice, domain) for name in names if not dice.once_in(3)}
    instants = [domain.start_ms - dice.pick(domain.idles) for _ in range(3)]
    changed_ms = {name: dice.pick(instants) for name in names if not dice.once_in(3)}
    changed_paths = {name: dice.pick(instants) for name in ("x.n", "x.n.m") if dice.once_in(2)}
    row = Row(now_ms=0, attributes=attributes, changed_ms=changed_ms, changed_paths=changed_paths)
    hold_attribute_against_python(rule.test, zone, row, domain.start_ms)


def hold_attribute_against_python(test: language.Predicate, zone: str, row: Row, at_ms: int) -> None:
    try:
        native = native_attribute(test, zone)
    except UnknownRule as refused:
        assume("regular expression" not in str(refused))
        raise
    compiled = compile_attribute(language.AttributeCondition(test), calendar_of(zone))
    for _ in range(4):
        for each in (at_ms - 1, at_ms, at_ms + 1):
            found = native.at(packed(row.attributes), items(row.changed_ms), items(row.changed_paths), each)
            assert found == (compiled.truth(row, each), compiled.change(row, each)), each
        at_ms = compiled.change(row, at_ms)
        if at_ms == FAR_MS:
            return

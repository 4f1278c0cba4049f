"""What is said to be impossible doesn't happen: against the independent model, and against the operators."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.parse.definitions import parse_definitions
from rules.predicates.compiled import compile_predicate, is_dated
from rules.predicates.operators import OPERATORS, compile_operator
from rules.predicates.paths import MISSING
from rules.warn.find import warnings_of
from rules.warn.reach import Reach
from rules.warn.terms import can_be
from rules.warn.values import DATES, possible, wanted_of
from tests.model import Model
from tests.strategies.definitions import audiences
from tests.strategies.dice import Dice, rolled
from tests.strategies.domains import VALUES, some_domain
from tests.strategies.examples import record_body
from tests.strategies.fuzzing import usual
from tests.strategies.histories import happening
from tests.strategies.predicates import PROPERTIES, where

Json = Any
SLOW = settings(max_examples=usual(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def said_and_done(seed: int, numbers: list[int]) -> int:
    """Let a random history happen under random definitions; the number of audiences of which something is
    said."""
    dice = rolled(seed)
    domain = some_domain(dice)
    definitions = audiences(dice, domain)
    parsed, problems = parse_definitions(json.dumps({"audiences": definitions}), "x.json")
    assert problems == []
    reach = Reach({each.audience.id: each.audience for each in parsed})
    warned = {(each.audience, each.code) for each in warnings_of(parsed)}
    model = Model(definitions, created_ms=domain.start_ms)
    now_ms = domain.start_ms
    said = 0
    for number, (kind, *rest) in enumerate(happening(number, domain) for number in numbers):
        if kind in ("track", "profile"):
            now_ms += rest[1]
            model.record(record_body(kind, tuple(rest), now_ms, number), now_ms)
        elif kind == "advance":
            now_ms = max(now_ms, model.stream_time_ms) + rest[0]
            model.advance(now_ms)
        said += _not_what_was_said(model, reach, warned)
    return said


def _not_what_was_said(model: Model, reach: Reach, warned: set[tuple[str, str]]) -> int:
    said = 0
    for audience in model.definitions:
        entered = {bool(user.stays.get(audience)) for user in model.users.values()}
        outside = {len(user.stays.get(audience, ())) % 2 == 0 for user in model.users.values()}
        if True in entered:
            assert reach.audience(audience, True)
            assert (audience, "never_entered") not in warned
        if True in outside:
            assert reach.audience(audience, False)
            assert (audience, "never_left") not in warned
        said += not reach.audience(audience, True) or not reach.audience(audience, False)
    return said


@SLOW
@given(st.integers(0, 2**30), st.lists(st.integers(0, 2**30), min_size=4, max_size=30))
def test_nobody_enters_what_cannot_be_entered_and_nobody_is_out_of_what_is_never_left(
    seed: int, numbers: list[int]
) -> None:
    said_and_done(seed, numbers)


def test_something_is_said_of_some_random_audiences() -> None:
    assert sum(said_and_done(seed, [5, 77, 12345]) > 0 for seed in range(150)) >= 3


@SLOW
@given(st.integers(0, 2**30))
def test_a_predicate_that_holds_of_some_object_can_hold(seed: int) -> None:
    dice = rolled(seed)
    domain = some_domain(dice)
    parsed, _ = parse_definitions(
        json.dumps({"id": "x", "name": "X", "rule": {"event": "a", "where": where(dice, domain)}}), "x.json"
    )
    rule = parsed[0].audience.rule
    assert isinstance(rule, language.EventCondition)
    assert rule.where is not None
    if is_dated(rule.where):
        return
    check = compile_predicate(rule.where)
    values = [*domain.values, *VALUES]
    for _ in range(20):
        found = {name: dice.pick(values) for name in PROPERTIES if "." not in name and dice.once_in(2)}
        assert can_be(rule.where, check(found))


DATED = ["2024-05-01", "2024-05-01T12:00:00Z"]
SCALARS: list[Json] = [
    "a",
    "ab",
    "b",
    "ß",
    "SS",
    "",
    "2024-05-01",
    "2024-05-01T12:00:00Z",
    1,
    1.0,
    0,
    2,
    True,
    False,
    None,
]
BOUNDS: list[Json] = [0, 1, 2, 1.0, 0.5, -1]
SOME_VALUES: list[Json] = [
    MISSING,
    *SCALARS,
    "xaby",
    "1",
    [],
    ["a"],
    ["a", "b", 1],
    [True],
    [None],
    {},
    {"a": 1},
    1.5,
    -5,
]


def random_test(dice: Dice) -> tuple[str, Json]:
    of_elements = {each.name for each in OPERATORS.values() if each.operand == "where"}
    name = dice.pick([each for each in OPERATORS if each not in DATES and each not in of_elements])
    match OPERATORS[name].operand:
        case "scalar":
            return name, dice.pick(SCALARS)
        case "scalars":
            return name, tuple(dice.some(SCALARS, 3))
        case "orderable":
            return name, dice.pick([*BOUNDS, *DATED])
        case "range":
            return name, tuple(dice.two(BOUNDS))
        case "flag":
            return name, dice.pick([True, False])
        case _:
            return name, dice.pick(["a", "ab", "b", "ß", "SS", ""])


def test_a_value_that_passes_several_tests_is_possible() -> None:
    dice = rolled(1)
    impossible = 0
    for _ in range(10_000):
        wanted = [(*random_test(dice), dice.once_in(3)) for _ in range(dice.whole(1, 4))]
        tests = [wanted_of(language.Test(("x",), name, operand), not no) for name, operand, no in wanted]
        if not possible(tests):
            impossible += 1
            checks = [(compile_operator(name, operand), not no) for name, operand, no in wanted]
            passing = [v for v in SOME_VALUES if all(check(v) is true for check, true in checks)]
            assert passing == [], wanted
    assert impossible > 1000

from __future__ import annotations

import json
import time

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.parse.predicate import QUANTIFIERS
from rules.predicates.against import holds_against
from rules.predicates.compiled import compile_predicate
from rules.predicates.dates import DATE_OPERATORS
from rules.predicates.operators import OPERATORS, compile_operator, compile_pattern
from rules.predicates.paths import MISSING
from tests.strategies.fuzzing import usual

DAY = "2024-05-01"
NOON = "2024-05-01T12:00:00Z"

# operator, operand, values for which it holds, values for which it doesn't; the values of VALUES that are
# in neither list must not hold either (or, for a negation, must hold).
POSITIVE: list[tuple[str, object, list[object], list[object]]] = [
    ("eq", "a", ["a"], ["A", "", "aa"]),
    ("eq", "1", ["1"], [1, True]),
    ("eq", 1, [1, 1.0], [True, "1", 2]),
    ("eq", 0, [0, 0.0, -0.0], [False, "", None]),
    ("eq", 1.5, [1.5], ["1.5", 1]),
    ("eq", 2**53 + 1, [2**53 + 1], [float(2**53), 2**53]),
    ("eq", True, [True], [1, 1.0, "true"]),
    ("eq", False, [False], [0, 0.0, "", None]),
    ("eq", None, [None], [MISSING, False, 0, "", "null"]),
    ("in", ("a", "b"), ["a", "b"], ["c", 1]),
    ("in", (1, 2), [1, 1.0, 2], [True, "1", 3]),
    ("in", ("a", 1, True, None), ["a", 1, 1.0, True, None], [False, 0, "1", MISSING, "null"]),
    ("in", (0, False), [0, 0.0, False], ["", None, 1, True]),
    ("in", (0,), [0], [False]),
    ("in", (False,), [False], [0]),
    ("in", (None,), [None], [MISSING, False]),
    ("gt", 5, [6, 5.1], [5, 4, True, "6"]),
    ("gte", 5, [5, 5.0, 6], [4.9, "5", True]),
    ("lt", 5, [4, 4.9, -1], [5, "4", False]),
    ("lte", 5, [5, 5.0, 4], [5.1, "5", False]),
    ("gt", 0, [0.5], [True, False]),
    ("gt", 2**53, [2**53 + 1], [2**53, float(2**53)]),
    ("between", (1, 3), [1, 2, 3, 2.5], [0.9, 3.1, True, "2"]),
    ("gt", DAY, [NOON, "2024-05-02", "2024-05-01T00:00:00.001Z"], [DAY, "2024-04-30", 2e9, "x"]),
    ("gte", NOON, [NOON, "2024-05-01T14:00:00+02:00", "2024-05-02"], ["2024-05-01T11:59:59.999999999Z", DAY]),
    ("lt", NOON, [DAY, "2024-05-01T13:59:59+02:00"], [NOON, "2024-05-01T12:00:00.0009Z", "", "1", 0]),
    ("lte", NOON, [NOON, "2024-05-01T12:00:00.0009Z"], ["2024-05-01T12:00:00.001Z"]),
    ("between", (DAY, "2024-05-02"), [DAY, "2024-05-02", NOON], ["2024-05-02T00:00:00.001Z", 5]),
    ("contains", "bc", ["abcd", "bc", ["bc"], ["x", "bc"]], ["bxc", "BC", ["abcd"], []]),
    ("contains", 1, [[1], [1.0, 2]], [[True], ["1"], "1", 1]),
    ("contains", True, [[True]], [[1], "True", True]),
    ("contains", None, [[None]], [[], None, [[None]]]),
    ("starts_with", "ab", ["ab", "abc"], ["b", "Ab", ["ab"]]),
    ("ends_with", "bc", ["bc", "abc"], ["b", "aBC", ["bc"]]),
    ("icontains", "STRASSE", ["die straße", "Hauptstrasse"], ["strase", ["strasse"]]),
    ("ieq", "STRASSE", ["straße", "Strasse"], ["die straße", ["strasse"]]),
    ("matches", "b+c", ["abbc", "bc"], ["b", "ac", ["bc"]]),
    ("matches", "^.$", ["é", "🎉", "\ud800"], ["ab", ""]),
    ("exists", True, ["", 0, False, [], {}, "x"], [None, MISSING]),
    ("any_of", ("a", 1), [["a"], ["x", 1.0], ["a", 1]], [["b"], [True], [], "a", ["1"]]),
    ("all_of", ("a", 1), [["a", 1], [1.0, "x", "a"]], [["a"], [1], ["a", True], [], "a"]),
    ("all_of", (None,), [[None, 1]], [[], None, [[None]]]),
]  # fmt: skip
NEGATIONS = {"eq": "ne", "in": "not_in", "contains": "not_contains", "exists": "exists"}
CASES = [(name, operand, value, True) for name, operand, yes, _ in POSITIVE for value in yes]
CASES += [(name, operand, value, False) for name, operand, _, no in POSITIVE for value in no]


@pytest.mark.parametrize(("operator", "operand", "value", "holds"), CASES)
def test_an_operator_holds_for_what_it_says(
    operator: str, operand: object, value: object, holds: bool
) -> None:
    assert evaluate(operator, operand, value) is holds


@pytest.mark.parametrize(
    ("operator", "operand", "value", "holds"), [case for case in CASES if case[0] in NEGATIONS]
)
def test_a_negation_holds_where_its_operator_does_not(
    operator: str, operand: object, value: object, holds: bool
) -> None:
    negated = not operand if operator == "exists" else operand
    assert evaluate(NEGATIONS[operator], negated, value) is not holds


@pytest.mark.parametrize(("operator", "operand"), [(name, operand) for name, operand, _, _ in POSITIVE])
@pytest.mark.parametrize("value", [MISSING, None, {}, {"a": 1}, [[]], [{}], [{"a": "a"}]], ids=repr)
def test_missing_null_and_wrong_types_make_positive_operators_false(
    operator: str, operand: object, value: object
) -> None:
    if operator == "exists" or (value is None and operator in ("eq", "in")):
        return  # told apart above
    assert evaluate(operator, operand, value) is False
    if operator in NEGATIONS:
        assert evaluate(NEGATIONS[operator], operand, value) is True


def test_every_operator_is_in_the_table_above() -> None:
    of_one_value = set(OPERATORS) - DATE_OPERATORS - set(QUANTIFIERS)
    assert {name for name, *_ in POSITIVE} | set(NEGATIONS.values()) == of_one_value


def test_tests_compose() -> None:
    def holds(predicate: language.Predicate) -> list[bool]:
        check = compile_predicate(predicate)
        return [check({"a": a, "b": b, "c": c}) for a in (0, 1) for b in (0, 1) for c in (0, 1)]

    a, b, c = (language.Test((name,), "eq", 1) for name in "abc")
    bits = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert holds(language.AllTests((a,))) == holds(language.AnyTest((a,))) == [bool(x[0]) for x in bits]
    assert holds(language.AllTests((a, b))) == [bool(x[0] and x[1]) for x in bits]
    assert holds(language.AnyTest((a, b))) == [bool(x[0] or x[1]) for x in bits]
    assert holds(language.AllTests((a, b, c))) == [all(x) for x in bits]
    assert holds(language.AnyTest((a, b, c))) == [any(x) for x in bits]
    assert holds(language.NotTest(language.AnyTest((a, language.NotTest(b))))) == [
        not (x[0] or not x[1]) for x in bits
    ]


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{1001}", "*", "\\"])
def test_a_pattern_that_re2_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(re2.error):
        compile_pattern(pattern)


def test_a_pattern_takes_linear_time() -> None:
    found = compile_pattern("(a+)+$")
    started = time.perf_counter()
    assert found("a" * 100_000 + "b") is False
    assert time.perf_counter() - started < 1  # back-tracking would outlive us


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text()
    | st.sampled_from(["\ud800", "\udfff\ud800", NOON, "2024-13-45", "9999-12-31T23:59:60Z", "0000-00-00",
                       "0001-01-01T00:00:00+23:59", "٢٠٢٤-٠١-٠١", "2024-01-01T00:00:00+99:99"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=usual(300), deadline=None)
@given(values)
def test_no_value_makes_an_operator_raise(value: object) -> None:
    for operator, operand, _, _ in POSITIVE:
        for name in {operator, NEGATIONS.get(operator, operator)}:
            assert compile_operator(name, operand)(value) in (True, False)
            assert evaluate(name, operand, value) in (True, False)
            assert compile_predicate(language.Test(("a", "b"), name, operand))({"a": value}) in (True, False)


def test_very_deep_values_do_no_harm() -> None:
    deep: object = []
    for _ in range(50_000):
        deep = [deep]
    for operator, operand, _, _ in POSITIVE:
        assert compile_operator(operator, operand)(deep) is (operator == "exists")
    assert compile_operator("contains", "x")([deep]) is False
    del deep


def evaluate(operator: str, operand: object, value: object) -> bool:
    properties = {} if value is MISSING else {"p": value}
    answer = compile_predicate(language.Test(("p",), operator, operand))(properties)
    nested = compile_predicate(language.Test(("o", "p"), operator, operand))({"o": properties})
    assert answer is nested, json.dumps([operator, operand], default=str)
    return answer


WITH_REF = ["eq", "ne", "gt", "gte", "lt", "lte", "contains", "not_contains", "starts_with", "ends_with",
            "icontains", "ieq"]  # fmt: skip
DATA = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    1.5,
    "1",
    "a",
    "A",
    "",
    DAY,
    NOON,
    [],
    ["a", 1],
    {"a": 1},
    2**70,
]


@pytest.mark.parametrize("operator", WITH_REF)
@pytest.mark.parametrize("operand", DATA)
def test_an_operand_from_data_acts_as_a_literal_or_as_missing(operator: str, operand: object) -> None:
    literal = type(operand) in (str, int, float, bool)
    if operator in ("gt", "gte", "lt", "lte"):
        literal = literal and operand in (0, 1, 1.5, DAY, NOON, 2**70) and type(operand) is not bool
    if operator in ("starts_with", "ends_with", "icontains", "ieq"):
        literal = type(operand) is str
    test = (
        compile_operator(operator, operand) if literal else lambda value: operator in ("ne", "not_contains")
    )
    for value in DATA:
        assert holds_against(operator, value, operand) == test(value), value

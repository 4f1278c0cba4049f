from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from rules import model
from rules.durations import LONGEST_MS
from rules.parse import parse_definitions
from rules.write import to_document

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
names = st.sampled_from(["a", "b", "price", "größe", "x y", "1", "true", "null", "__", "~", "é\u2028"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
integers = st.integers(-(2**63), 2**63 - 1)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
instants = st.sampled_from(["2024-01-01", "2024-05-01T09:30:00Z", "2024-05-01T09:30:00.123+08:00"])


def ends(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(values, values).map(lambda pair: tuple(sorted(pair)))  # type: ignore[type-var]


operators = st.one_of(
    st.tuples(st.sampled_from(["eq", "ne", "contains", "not_contains"]), scalars),
    st.tuples(
        st.sampled_from(["in", "not_in", "any_of", "all_of"]),
        st.lists(scalars, min_size=1, max_size=3).map(tuple),
    ),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), numbers | instants),
    st.tuples(st.just("between"), ends(numbers) | ends(instants)),
    st.tuples(st.sampled_from(["starts_with", "ends_with", "icontains", "ieq"]), text),
    st.tuples(st.just("matches"), st.sampled_from(["a+", "^x|y$", "\\d"])),
    st.tuples(st.just("exists"), st.booleans()),
)
tests = st.builds(lambda path, operator: model.Test(path, *operator), paths, operators)
predicates = st.recursive(
    tests,
    lambda inner: (
        st.builds(model.AllTests, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(model.AnyTest, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(model.NotTest, inner)
    ),
    max_leaves=6,
)


@st.composite
def comparisons(draw: st.DrawFn, values: st.SearchStrategy[object]) -> tuple[model.Comparison, ...]:
    chosen = draw(st.lists(st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne", "between"]),
                           min_size=1, max_size=3, unique=True))  # fmt: skip
    return tuple(
        model.Comparison(each, draw(ends(values) if each == "between" else values))  # type: ignore[arg-type]
        for each in chosen
    )


counts = st.integers(0, 999)
aggregates = (
    st.builds(model.Aggregate, st.just("count"), st.none(), comparisons(counts))
    | st.builds(model.Aggregate, st.just("sum"), paths, comparisons(numbers))
    | st.builds(model.Aggregate, st.just("distinct"), paths, comparisons(counts))
)
event_names = st.sets(names, min_size=1, max_size=3).map(lambda chosen: tuple(sorted(chosen))) | st.just(
    ("*",)
)
event_conditions = st.builds(
    model.EventCondition,
    event_names,
    st.none() | predicates,
    aggregates,
    st.none() | st.integers(1, LONGEST_MS).map(model.Within),
)


@st.composite
def attribute_conditions(draw: st.DrawFn) -> model.AttributeCondition:
    path = draw(paths)
    chosen = draw(st.lists(operators, min_size=1, max_size=3, unique_by=lambda each: each[0]))
    made = tuple(model.Test(path, *each) for each in chosen)
    return model.AttributeCondition(made[0] if len(made) == 1 else model.AllTests(made))


rules: st.SearchStrategy[model.Rule] = st.recursive(
    event_conditions | attribute_conditions(),
    lambda inner: (
        st.builds(model.All, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(model.Any, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(model.Not, inner)
    ),
    max_leaves=4,
)
audiences = st.builds(
    model.Audience,
    id=st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True),
    name=text,
    rule=rules,
    description=st.just("") | text,
    project=st.just("default") | st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True),
    type=st.sampled_from(["realtime", "instant"]),
    timezone=st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]),
    labels=st.lists(text, max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(audiences)
def test_an_audience_that_is_written_reads_back_equal(audience: model.Audience) -> None:
    document = json.dumps(to_document(audience))
    (parsed,), problems = parse_definitions(document, "published.json")
    assert problems == []
    assert parsed.audience == audience
    assert repr(parsed.audience) == repr(audience)  # 1, 1.0 and True are equal to Python


def test_tests_of_a_where_are_written_as_one_map_where_possible() -> None:
    text = "{id: x, name: X, rule: {event: a, where: {price: {gte: 5, lt: 9}, sku: [a, b]}, within: 14d}}"
    (parsed,), _ = parse_definitions(text, "x")
    assert to_document(parsed.audience)["rule"] == {
        "event": "a",
        "where": {"price": {"gte": 5, "lt": 9}, "sku": {"in": ["a", "b"]}},
        "within": "14d",
    }

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model import language
from rules.parse import definitions as parsing
from rules.parse.definitions import load_definitions, load_published, parse_definitions
from rules.parse.problems import DefinitionsInvalid
from rules.time.durations import UNITS_MS
from tests.strategies.fuzzing import usual

DEFINITIONS = Path(__file__).parent / "definitions"
FAULTY = sorted(path for path in DEFINITIONS.iterdir() if path.with_suffix(".errors").exists())
FAULTY = [path for path in FAULTY if path.suffix != ".errors"]


def read(name: str) -> tuple[str, str]:
    return name, (DEFINITIONS / name).read_text()


def parse_rule(text: str) -> language.Rule:
    parsed, problems = parse_definitions(f"id: x\nname: X\nrule: {text}", "x.yaml")
    assert problems == []
    return parsed[0].audience.rule


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.name)
def test_every_fault_is_told_with_its_place_and_what_was_probably_meant(path: Path) -> None:
    _, problems = parse_definitions(path.read_text(), path.name)
    told = "".join(f"{problem.code}: {problem}\n" for problem in problems)
    assert told == path.with_suffix(".errors").read_text()


def test_a_definition_with_one_of_everything_means_what_it_says() -> None:
    cart, rest = load_definitions([read("valid.yaml")])
    once = language.Aggregate("count", None, (language.Comparison("gte", 1),))
    hour = language.Within(UNITS_MS["h"])
    assert cart == language.Audience(
        id="cart_abandoners",
        name="Cart abandoners",
        description="Put something dear in the cart and left it there",
        project="shop",
        type="instant",
        timezone="Asia/Shanghai",
        labels=("marketing", "no", "2024-01-01"),
        rule=language.All(
            (
                language.EventCondition(
                    ("add_to_cart",),
                    language.AllTests(
                        (
                            language.Test(("price",), "gte", 50),
                            language.Test(("price",), "lt", 1000.0),
                            language.Test(("category",), "eq", "shoes"),
                        )
                    ),
                    once,
                    hour,
                ),
                language.Not(language.EventCondition(("purchase",), None, once, hour)),
            )
        ),
    )
    assert (rest.project, rest.type, rest.timezone, rest.labels) == ("default", "realtime", "UTC", ())
    assert isinstance(rest.rule, language.Any)
    views, skus, spent, country = rest.rule.parts
    assert views == language.EventCondition(
        ("click", "view"),
        language.AllTests(
            (
                language.Test(("color",), "in", ("red", "blue", None)),
                language.Test(("address", "city"), "ieq", "berlin"),
                language.Test(("at",), "between", ("2024-01-01", "2024-12-31T23:59:59.999+08:00")),
                language.AnyTest(
                    (
                        language.Test(("a",), "eq", True),
                        language.NotTest(language.Test(("b",), "eq", None)),
                        language.AllTests(
                            (language.Test(("c",), "eq", 1), language.Test(("d",), "matches", "x+y"))
                        ),
                    )
                ),
            )
        ),
        language.Aggregate("count", None, (language.Comparison("gte", 2), language.Comparison("lte", 5))),
        language.Within(2 * UNITS_MS["w"]),
    )
    assert skus == language.EventCondition(
        ("*",),
        None,
        language.Aggregate("distinct", ("sku",), (language.Comparison("between", (3, 9)),)),
        language.Within(500),
    )
    assert spent == language.EventCondition(
        ("purchase",),
        None,
        language.Aggregate("sum", ("basket", "price"), (language.Comparison("gt", -1.5),)),
        None,
    )
    assert country == language.AttributeCondition(
        language.AllTests(
            (
                language.Test(("address", "country"), "in", ("US", "CA")),
                language.Test(("address", "country"), "ne", None),
                language.Test(("address", "country"), "exists", True),
            )
        )
    )


def test_the_faults_of_all_files_come_at_once_with_what_files_have_in_common() -> None:
    files = [read("second.yaml"), read("first.yaml"), read("syntax_yaml.yaml")]
    with pytest.raises(DefinitionsInvalid) as caught:
        load_definitions(files)
    assert str(caught.value).splitlines() == [
        "first.yaml:2:24: name 'Buyers' is taken in project 'default' (at audiences[0].name)"
        " - first used at second.yaml:2:7",
        "first.yaml:3:10: id 'buyers' is taken in project 'default' (at audiences[1].id)"
        " - first used at first.yaml:2:10",
        "syntax_yaml.yaml:2:13: not YAML: mapping values are not allowed here",
    ]
    assert [problem.code for problem in caught.value.problems] == ["duplicate", "duplicate", "syntax"]


def test_audiences_whose_ids_share_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "audience_key", lambda project, audience_id: 7)
    with pytest.raises(DefinitionsInvalid, match="32-bit key of this id is taken by audience 'a'"):
        load_definitions(two_audiences())


def test_conditions_that_share_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "condition_key", lambda *_: 7)
    with pytest.raises(DefinitionsInvalid, match="32-bit key of this condition is taken by audience 'a'"):
        load_definitions(two_audiences())


def test_equal_conditions_share_their_key_in_peace() -> None:
    same = [(name, text.replace("event: b", "event: a")) for name, text in two_audiences()]
    assert len(load_definitions(same)) == 2


def two_audiences() -> list[tuple[str, str]]:
    return [(f"{x}.yaml", f"{{id: {x}, name: {x}, rule: {{event: {x}}}}}") for x in "ab"]


def test_the_limit_on_samples_is_the_callers() -> None:
    text = "{id: x, name: X, rule: {event: a, count: {gte: 11}, within: 1d}}"
    assert parse_definitions(text, "x", max_samples=11)[1] == []
    (problem,) = parse_definitions(text, "x", max_samples=10)[1]
    assert problem.code == "limit"


@pytest.mark.parametrize(("depth", "codes"), [(32, []), (33, ["too_deep"])])
def test_rules_and_tests_nest_up_to_32_deep(depth: int, codes: list[str]) -> None:
    rule = "{all: [" * (depth - 1) + "{event: a}" + "]}" * (depth - 1)
    where = "{all: [" * (depth - 1) + "{x: 1}" + "]}" * (depth - 1)
    for text in (rule, f"{{event: a, where: {where}}}"):
        _, problems = parse_definitions(f"id: x\nname: X\nrule: {text}", "x")
        assert [problem.code for problem in problems] == codes


def test_a_file_without_definitions_has_none() -> None:
    for text in ("", "# nothing\n", "---\n---\n", "\ufeff"):
        assert parse_definitions(text, "x") == ([], [])


def test_a_definition_of_an_unreadable_file_is_not_handed_out() -> None:
    parsed, problems = parse_definitions(
        "id: x\nname: X\nrule: {event: a, sum: {property: p, gte: 1e999}}", "x"
    )
    assert (parsed, len(problems)) == ([], 1)


def test_yaml_1_1_surprises_stay_text() -> None:
    rule = parse_rule("{attribute: a, in: [no, on, 2024-01-01, 12:30:45, 1_000, 0x1F, 010, +.5]}")
    assert isinstance(rule, language.AttributeCondition)
    assert isinstance(rule.test, language.Test)
    assert rule.test.operand == ("no", "on", "2024-01-01", "12:30:45", "1_000", 31, 10, 0.5)


def test_json_and_yaml_parse_to_the_same() -> None:
    document = {
        "id": "x",
        "name": 'Grüße 🎉 \\ " /',
        "rule": {"attribute": "a", "in": [1, -2.5e3, True, None, "\u2028 line", "\ud83d\ude00"]},
    }
    as_json = json.dumps(document, indent="\t")
    (parsed,), problems = parse_definitions(as_json, "x.json")
    assert problems == []
    assert parsed.audience.name == document["name"]
    (flow,), problems = parse_definitions("# YAML now\n" + json.dumps(document, indent=2), "x.yaml")
    assert problems == []
    assert flow.audience == parsed.audience


NINE_TIMES = "".join(
    f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "lists": "[" * 100_000,
    "maps": "{a: " * 100_000,
    "JSON": '{"a":' * 100_000,
    "block": "- " * 100_000,
    "cycle": "&a [*a]",
    "billion laughs": "a: &a [x, x, x]\n" + NINE_TIMES,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_in_bounded_space(text: str) -> None:
    tracemalloc.start()
    try:
        parsed, problems = parse_definitions(text, "bomb")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert parsed == []
    assert {problem.code for problem in problems} & {"too_deep", "too_large", "alias"}


fragments = st.sampled_from(
    ["id: x", "rule:", "{", "}", "[", "]", ": ", ", ", "- ", "\n", "\n  ", "---\n", '"', "'", "&a ", "*a",
     "!", "!!int ", "|", ">", "? ", "#", "%", "@", "\\", "\\ud800", '"\\UFFFFFFFF"', "\t", "event", "where",
     "within", "1h", "count", "gte", "all", "not", "1", "-", ".nan", "~", "\0", "é", "\ud800", "%YAML 9.9\n",
     "<<", "=", "...\n"]
)  # fmt: skip


@settings(max_examples=usual(400), deadline=None)
@given(st.lists(fragments | st.text(max_size=3), max_size=25).map("".join))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    _, problems = parse_definitions(text, "fuzz.yaml")
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
    assert parse_definitions(text, "fuzz.json") is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.sampled_from(["", "x", "*", "7d", "2024-01-01", "(", "x.y", "today"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["all", "any", "not", "event", "attribute", "where", "within", "count", "sum", "distinct",
             "property", "gte", "between", "in", "matches", "exists", "ref", "audience", "x", "a.b", "",
             "at_least", "of", "score", "when", "points", "sequence", "without", "total", "as", "for", "last",
             "not_followed_by", "period", "unit", "from", "to", "between_ago", "since_last", "older_than",
             "anniversary", "changed_within"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=usual(300), deadline=None)
@given(json_values)
def test_no_rule_makes_the_parser_raise(value: object) -> None:
    document = {"id": "x", "name": "X", "rule": value}
    parsed, problems = parse_definitions(json.dumps(document, allow_nan=True), "fuzz.json")
    assert bool(parsed) is not bool(problems)


def test_a_published_definition_keeps_a_name_that_is_now_taken_for_a_position() -> None:
    text = '{"id": "x", "name": "X", "rule": {"attribute": "scores.2024", "gte": 5}}'
    _, problems = parse_definitions(text, "x.json")
    assert [problem.code for problem in problems] == ["list_index"]
    audience = load_published("x.json", text)
    assert audience.rule == language.AttributeCondition(language.Test(("scores", "2024"), "gte", 5))

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.parse.definitions import check_together, load_definitions, load_published, parse_definitions
from rules.parse.problems import DefinitionsInvalid
from rules.parse.references import referrers

CHAIN = """\
audiences:
  - {id: a, name: A, rule: {all: [{event: x}, {audience: b, for: 1d}]}}
  - {id: b, name: B, rule: {any: [{audience: c}, {event: x, within: {audience: c}}]}}
  - {id: c, name: C, rule: {event: x}}
  - {id: c, name: C, project: other, rule: {event: x}}
"""


def told(text: str) -> list[str]:
    with pytest.raises(DefinitionsInvalid) as caught:
        load_definitions([("f.yaml", text)])
    return str(caught.value).splitlines()


def test_audiences_may_speak_of_others_in_any_order_and_file() -> None:
    first = CHAIN.splitlines(keepends=True)[1]
    files = [("one.yaml", "audiences:\n" + first), ("two.yaml", CHAIN.replace(first, ""))]
    audiences = load_definitions(files)
    assert [each.id for each in audiences] == ["a", "b", "c", "c"]
    assert referrers(audiences, "c") == ["b"]
    assert referrers(audiences, "a") == []


def test_missing_audiences_are_told_where_they_are_asked_for() -> None:
    assert told(CHAIN.replace("{event: x, within: {audience: c}}", "{event: x, within: {audience: cc}}")) == [
        "f.yaml:3:80: b -> cc: audience 'cc' doesn't exist in project 'default'"
        " (at audiences[1].rule.any[1].within.audience) - did you mean 'c'? allowed: a, c"
    ]


def test_audiences_of_other_projects_are_not_seen() -> None:
    text = "{id: x, name: X, project: third, rule: {not: {audience: c}}}"
    assert told(CHAIN + "  - " + text) == [
        "f.yaml:6:61: x -> c: audience 'c' doesn't exist in project 'third'"
        " (at audiences[4].rule.not.audience) - this project has no other audience"
    ]


def test_a_circle_is_told_with_its_whole_chain() -> None:
    text = CHAIN.replace("name: C, rule: {event: x}", "name: C, rule: {audience: a}")
    assert told(text) == [
        "f.yaml:4:39: audiences speak of one another in a circle: a -> b -> c -> a"
        " (at audiences[2].rule.audience) - take one of these references out"
    ]
    assert "circle: a -> a" in told("{id: a, name: A, rule: {audience: a}}")[0]


def test_two_circles_are_two_problems() -> None:
    text = "audiences:\n" + "".join(
        f"  - {{id: {one}, name: {one}, rule: {{any: [{{audience: {two}}}, {{audience: hub}}]}}}}\n"
        for one, two in ("ab", "ba", "cd", "dc")
    )
    text += "  - {id: hub, name: hub, rule: {event: x}}\n"
    assert [line.split("circle: ")[1].split(" (")[0] for line in told(text)] == ["a -> b -> a", "c -> d -> c"]


def test_a_long_chain_is_no_circle() -> None:
    lines = [f"  - {{id: a{n}, name: a{n}, rule: {{audience: a{n + 1}}}}}" for n in range(1500)]
    text = "\n".join(["audiences:", *lines, "  - {id: a1500, name: last, rule: {event: x}}"])
    assert len(load_definitions([("f.yaml", text)])) == 1501


def test_a_deleted_audience_is_not_there_any_more() -> None:
    parsed, _ = parse_definitions(CHAIN, "f.yaml")
    gone = [replace(each, deleted=each.audience.id in ("c", "a")) for each in parsed]
    found = [problem.message for problem in check_together(gone)]
    assert found == ["b -> c: audience 'c' was deleted in project 'default'"] * 2
    assert list(check_together(gone, references=False)) == []


def test_one_definition_can_be_read_without_the_others() -> None:
    assert load_published("f.json", '{"id": "a", "name": "A", "rule": {"audience": "b"}}').id == "a"
    with pytest.raises(DefinitionsInvalid, match="one definition is expected, not 4"):
        load_published("f.yaml", CHAIN)

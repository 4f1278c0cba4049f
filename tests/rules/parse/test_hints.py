"""What the answer to a word of another product is, and that one slip has one answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rules.parse.definitions import check_together, parse_definitions
from rules.parse.problems import DefinitionProblem
from tests.strategies.definitions import audiences
from tests.strategies.dice import rolled
from tests.strategies.domains import some_domain

Json = Any
DEFINITIONS = Path(__file__).parent / "definitions"


def problems_of(rule: str) -> list[DefinitionProblem]:
    _, problems = parse_definitions(f"id: x\nname: X\nrule: {rule}", "x.yaml")
    return problems


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("{and: [{event: a}]}", "did you mean 'all'?"),
        ("{AND: [{event: a}]}", "did you mean 'all'?"),
        ("{or: [{event: a}]}", "did you mean 'any'?"),
        ("{$or: [{event: a}]}", "did you mean 'any'?"),
        ("{none: [{event: a}]}", "write not: {any: […]}"),
        ("{nor: [{event: a}, {event: b}]}", "write not: {any: […]}"),
        ("{events: purchase}", "did you mean 'event'?"),
        ("{eventName: purchase, within: 7d}", "did you mean 'event'?"),
        ("{segment: x}", "did you mean 'audience'?"),
        ("{cohort: x, for: 7d}", "did you mean 'audience'?"),
        ("{trait: plan, eq: pro}", "did you mean 'attribute'?"),
        ("{user_property: plan, eq: pro}", "did you mean 'attribute'?"),
        ("{steps: [{event: a}, {event: b}]}", "did you mean 'sequence'?"),
        ("{event: a, properties: {x: 1}}", "did you mean 'where'?"),
        ("{event: a, filter: {x: 1}}", "did you mean 'where'?"),
        ("{event: a, times: {gte: 3}}", "did you mean 'count'?"),
        ("{event: a, unique: {property: x, gte: 3}}", "did you mean 'distinct'?"),
        ("{event: a, window: 7d}", "did you mean 'within'?"),
        ("{event: a, in_last: 7d}", "did you mean 'within'?"),
        ("{event: a, since: 2024-01-01}", "did you mean 'within'?"),
        ("{attribute: x, equals: 1}", "did you mean 'eq'?"),
        ('{attribute: x, "==": 1}', "did you mean 'eq'?"),
        ('{attribute: x, ">": 1}', "did you mean 'gt'?"),
        ('{attribute: x, ">=": 1}', "did you mean 'gte'?"),
        ("{attribute: x, $lte: 1}", "did you mean 'lte'?"),
        ("{attribute: x, greaterThan: 1}", "did you mean 'gt'?"),
        ("{attribute: x, greater_than_or_equals: 1}", "did you mean 'gte'?"),
        ("{attribute: x, '!=': 1}", "did you mean 'ne'?"),
        ("{attribute: x, includes: a}", "did you mean 'contains'?"),
        ("{attribute: x, startsWith: a}", "did you mean 'starts_with'?"),
        ("{attribute: x, regex: a}", "did you mean 'matches'?"),
        ("{attribute: x, notIn: [a]}", "did you mean 'not_in'?"),
        ("{attribute: x, is_set: true}", "write exists: true"),
        ("{attribute: x, is_not_set: true}", "write exists: false"),
        ("{attribute: x, operator: is, value: 5}", "the operator is the key itself"),
        ("{event: a, where: {and: [{x: 1}]}}", "did you mean 'all'?"),
        ("{event: a, where: {nor: [{x: 1}]}}", "write not: {any: […]}"),
        ("{event: a, where: {or: {x: 1, y: 2}}}", "did you mean 'any'?"),
        ("{event: a, where: {x: {equals: 1}}}", "did you mean 'eq'?"),
        ("{event: a, where: [{x: 1}, {y: 2}]}", "stand in one map"),
        ("{event: a, sum: {field: x, gte: 3}}", "did you mean 'property'?"),
        ("{event: a, count: {at_least: 3}}", "did you mean 'gte'?"),
    ],
)
def test_the_words_of_the_field_are_answered_with_ours(rule: str, answer: str) -> None:
    problem = problems_of(rule)[0]
    assert answer in problem.hint
    if "operator:" not in rule:
        assert len(problems_of(rule)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "id: x\nnmae: X\nrule: {event: a}",
        "iid: x\nname: X\nrule: {event: a}",
        "id: x\nname: X\nconditions: {event: a}",
        "id: x\nname: X\nrule: {evnt: a, within: 7d, where: {x: 1}}",
        "id: x\nname: X\nrule: {attribut: x, eq: 5}",
        "id: x\nname: X\nrule: {event: a, not_followed_bt: {event: b}, for: 30m}",
        "id: x\nname: X\nrule: {event: a, not_followed_by: {event: b}, fro: 30m}",
        "id: x\nname: X\nrule: {event: a, not_followed_by: {evnet: b}, for: 30m}",
        "id: x\nname: X\nrule: {score: [{when: {event: a}, points: 1}], gtee: 1}",
        "id: x\nname: X\nrule: {score: [{wen: {event: a}, points: 1}], gte: 1}",
        "id: x\nname: X\nrule: {at_least: 1, off: [{event: a}]}",
        "id: x\nname: X\nrule: {event: a, within: {audence: b}}",
        "id: x\nname: X\nrule: {event: a, period: {lst: 7, unit: day}}",
        "id: x\nname: X\nrule: {event: a, sum: {propery: y, gte: 1}}",
        "id: x\nname: X\nrule: {sequence: [{event: a, ass: v}, {event: b, where: {x: {eq: {ref: v.x}}}}]}",
        "id: x\nname: X\nrule: {at_least: 99999999999999999999, of: [{event: a}]}",
        "audience:\n  - {id: x, name: X, rule: {event: a}}",
        "audiences:\n  - {id: x, name: X, rule: {evnt: a}}\n  - {id: y, name: Y, rule: {audience: x}}",
        "audiences:\n  - {idd: x, name: X, rule: {event: a}}\n  - {id: y, name: Y, rule: {audience: x}}",
        "audiences:\n  - {id: x, name: X, rule: {event: a}}\n  - {id: x, name: X, rule: {event: a}}",
    ],
)
def test_one_slip_has_one_answer(text: str) -> None:
    parsed, problems = parse_definitions(text, "x.yaml")
    problems += check_together(parsed, found_before=problems)
    assert len(problems) == 1, "\n".join(map(str, problems))


@pytest.mark.slow
def test_any_slip_in_any_key_of_any_definition_has_one_answer() -> None:
    tried = 0
    for definitions in [*_of_files(), *_random_ones()]:
        for changed, what in _with_a_slip({"audiences": definitions}):
            parsed, problems = parse_definitions(json.dumps(changed), "x.json")
            problems += check_together(parsed, found_before=problems)
            assert len(problems) <= 1, f"{what}\n" + "\n".join(map(str, problems))
            tried += bool(problems)
    assert tried > 300


def _of_files() -> Iterator[list[Json]]:
    for name in ("valid.yaml", "first.yaml", "second.yaml"):
        for document in YAML(typ="safe", pure=True).load_all((DEFINITIONS / name).read_text()):
            definitions = document.get("audiences", [document])
            parsed, _ = parse_definitions(json.dumps({"audiences": definitions}, default=str), "x.json")
            if len(parsed) == len(definitions) and not list(check_together(parsed)):
                yield definitions


def _random_ones() -> Iterator[list[Json]]:
    for seed in range(25):
        dice = rolled(seed)
        yield audiences(dice, some_domain(dice))


def _with_a_slip(whole: Json) -> Iterator[tuple[Json, str]]:
    """Copies in which one key has a letter too few, or two of its letters changed places."""
    for path in _keys(whole, ()):
        name = path[-1]
        for wrong in {name[:-1], name[1:], name[:1] + name[2:3] + name[1:2] + name[3:], name + "s"}:
            if wrong and wrong != name:
                changed = json.loads(json.dumps(whole, default=str))
                inside = changed
                for each in path[:-1]:
                    inside = inside[each]
                if wrong in inside:
                    continue
                inside[wrong] = inside.pop(name)
                yield changed, f"{'.'.join(map(str, path))} -> {wrong}"


def _keys(value: Json, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _keys(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _keys(inner, (*path, at))

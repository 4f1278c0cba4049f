"""A condition, whose authors put its parts in two orders, has one state: each reads what the other wrote."""

from __future__ import annotations

import itertools

import pytest

from tests.driver.driver import Driver, ruleset
from tests.model import instant_text

T = 1_700_000_000_000
TESTS = ["x: {eq: {ref: a.x}}", "{y: {gte: {ref: a.y}}}", "{z: 1}", "any: [{y: 5}, {x: {ne: {ref: a.z}}}]"]


def _audience(tests: tuple[str, ...], form: str) -> str:
    where = "all: [" + ", ".join(each if each[0] == "{" else f"{{{each}}}" for each in tests) + "]"
    other = f"event: b, where: {{{where}}}"
    return f"{{id: same, name: Same, rule: {form.format(other=other)}}}"


FORMS = {
    "sequence": "{{sequence: [{{event: a, as: a}}, {{{other}}}], within: 1d}}",
    "not_followed": "{{event: a, not_followed_by: {{{other}}}, for: 1h}}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("order", [*itertools.permutations(TESTS)][1::5], ids=str)
def test_a_state_is_read_by_the_other_spelling(form: str, order: tuple[str, ...]) -> None:
    driver = Driver(_audience(tuple(TESTS), form))
    first, later = {"x": "k", "y": 3, "z": "z"}, {"x": "k", "y": 5, "z": 1}
    for user in ("met", "missed"):
        driver.track(user, "b", T, properties=later)
        driver.track(user, "a", T + 1, properties=first)
    rules = ruleset(_audience(order, form), version=2, created_ms=T)
    driver.rules = rules
    for part in driver.parts:
        part.pipeline.define(rules)
    driver.flush()
    driver.track("met", "b", T + 2, properties=later)
    driver.track("missed", "b", T + 2, properties=later | {"y": 2})
    driver.advance(T + 7_200_000)
    members = {user: driver.members(user, T + 7_200_000) for user in ("met", "missed")}
    is_sequence = "sequence" in form
    assert members["met"] == ({"same": T + 2} if is_sequence else {}), instant_text(T)
    assert members["missed"] == ({} if is_sequence else {"same": T + 1 + 3_600_000})

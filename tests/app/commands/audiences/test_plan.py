"""Plans of ``turnstile audiences apply``: what they hold, and how they read."""

from __future__ import annotations

import pytest

from app.commands.authoring.audiences.planned.plan import Plan, make_plan, refused_deletions
from app.commands.authoring.audiences.planned.plan_text import done_lines, plan_document, plan_lines, summary
from rules.compile.audience import PublishedAudience
from rules.model.language import Audience
from rules.parse.definitions import parse_definitions

KEEN = "{id: keen, name: Keen, rule: {event: view, count: {gte: 2}}}"
VIP = "{id: vip, name: Vip, rule: {audience: keen, for: 7d}}"
OTHER = "{id: keen, name: Keen, project: other, rule: {event: view}}"


def audiences(*texts: str) -> list[Audience]:
    found = [parse_definitions(text, "x.yaml") for text in texts]
    assert all(problems == [] for _, problems in found)
    return [each.audience for parsed, _ in found for each in parsed]


def published(*texts: str, gone: str = "") -> list[PublishedAudience]:
    return [PublishedAudience(each, 3, deleted=each.id == gone) for each in audiences(*texts)]


def told(plan: Plan, *, would: bool = True, **effects: str) -> list[str]:
    by_id = {("default", id): text for id, text in effects.items()}
    return [line.text for line in plan_lines(plan, by_id, would=would)]


def test_a_plan_says_what_is_new_changed_and_the_same() -> None:
    before = published(KEEN, VIP)
    wanted = audiences(KEEN.replace("gte: 2", "gte: 3"), VIP, "{id: new, name: New, rule: {event: a}}")
    plan = make_plan(before, wanted)
    assert [(each.action, each.audience.id) for each in plan.changes] == [
        ("change", "keen"),
        ("same", "vip"),
        ("create", "new"),
    ]
    assert told(plan, new="about 12 enter") == [
        "~ would change default/keen: rule; its members are computed anew",
        "      timezone: UTC",
        "      rule:",
        "        event: view",
        "    -   count: {gte: 2}",
        "    +   count: {gte: 3}",
        "+ would create default/new: about 12 enter",
        "= 1 is the same",
    ]
    assert told(plan, would=False)[0].startswith("~ will change default/keen")
    assert summary(plan, would=True) == "would create 1, would change 1"


@pytest.mark.parametrize(
    ("key", "text"), [("name", "name: Keener"), ("labels", "labels: [x]"), ("description", "description: d")]
)
def test_what_only_people_read_is_no_new_computation(key: str, text: str) -> None:
    changed = KEEN.replace("name: Keen", text if key == "name" else f"name: Keen, {text}")
    (change,) = make_plan(published(KEEN), audiences(changed)).changes
    assert (change.action, change.is_computed, change.parts()) == ("change", False, [key])
    assert "nobody enters or leaves" in told(Plan((change,)))[0]


def test_a_number_and_a_truth_value_are_not_the_same() -> None:
    rule = "{id: x, name: X, rule: {attribute: a, eq: 1}}"
    (change,) = make_plan(published(rule), audiences(rule.replace("eq: 1", "eq: true"))).changes
    assert (change.action, change.is_computed) == ("change", True)


def test_nothing_to_do_is_said_in_one_line() -> None:
    plan = make_plan(published(KEEN), audiences(KEEN))
    assert told(plan) == []
    assert plan.differences == []
    assert summary(plan, would=False) == "nothing to do: the audience is published already as the files say"


def test_a_deleted_audience_comes_back_as_new() -> None:
    plan = make_plan(published(KEEN, gone="keen"), audiences(KEEN))
    assert told(plan) == [
        "+ would create default/keen: an audience of this id was there before and was deleted"
    ]


def test_one_whose_record_cannot_be_read_is_written_anew() -> None:
    plan = make_plan([], audiences(KEEN), unusable=[("default", "keen")])
    assert told(plan) == ["~ would change default/keen: its record can't be read, so that it is written anew"]


def test_pruning_takes_what_the_files_lack_in_their_projects_only() -> None:
    before = published(KEEN, VIP, OTHER, "{id: old, name: Old, rule: {event: a}}", gone="old")
    assert make_plan(before, audiences(KEEN)).differences == []
    plan = make_plan(before, audiences(KEEN), prune=True)
    assert [each.id for each in plan.of("delete")] == [("default", "vip")]
    assert told(plan)[0] == "- would delete default/vip: it isn't in the files, and its members leave"
    assert refused_deletions(plan, before) == []


def test_pruning_is_refused_while_something_that_stays_refers_to_it() -> None:
    before = published(KEEN, VIP, "{id: more, name: More, rule: {audience: keen}}")
    plan = make_plan(before, audiences(VIP), prune=True)
    assert refused_deletions(plan, before) == [
        "--prune: audience 'keen' of project 'default' isn't in the files, but is part of the rule of 'vip': "
        "keep it, or change that first"
    ]
    unrelated = audiences("{id: vip, name: Vip, rule: {event: a}}")
    assert refused_deletions(make_plan(before, unrelated, prune=True), before) == []


def test_what_was_done_has_the_versions() -> None:
    plan = make_plan(published(KEEN), audiences(VIP), prune=True)
    versions = {("default", "vip"): 1, ("default", "keen"): 4}
    assert [each.text for each in done_lines(plan, versions)] == [
        "created default/vip, version 1",
        "deleted default/keen, version 4",
    ]


def test_the_plan_is_there_as_json() -> None:
    plan = make_plan(published(KEEN, VIP), audiences(KEEN.replace("Keen,", "Keener,"), VIP))
    document = plan_document(plan, {}, {})
    assert document["differences"] == 1
    assert [each["action"] for each in document["changes"]] == ["change", "same"]
    assert document["changes"][0]["parts"] == ["name"]
    assert "+ name: Keener" in document["changes"][0]["difference"]

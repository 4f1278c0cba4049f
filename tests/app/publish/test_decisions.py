"""What changes of definitions come to: versions, what is refused, what the audit topic is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import pytest

from agents.backfill.history.completeness import LogBegin
from agents.deliver.definitions.parse import load_destinations
from agents.kafka.consumed import Consumed
from agents.registry.audiences import Audiences
from agents.registry.writer import Change
from app.kafka.configured import parse_published
from app.publish import decisions
from app.publish.ask import Ask
from app.publish.author import Author
from app.publish.refused import (
    AlreadyPublished,
    ChangeRefused,
    NoSuchVersion,
    NotHeld,
    NotPublished,
    QuotaUsedUp,
    StillUsed,
    VersionMoved,
)
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import parse_definitions
from rules.parse.problems import DefinitionsInvalid

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
ASK = Ask(Author("ann", "http"), NOW_MS)
FANS = "{id: fans, name: Fans, rule: {event: view, within: 7d}}"
FANS_TOO = "{id: fans, name: Fans, rule: {event: view, within: 8d}}"
KEEN = "{id: keen, name: Keen, rule: {all: [{audience: fans}, {event: buy, within: 1d}]}}"


def parsed(*texts: str) -> list[ParsedAudience]:
    found, problems = parse_definitions("---\n".join(f"{each}\n" for each in texts), "new.yaml")
    assert not problems
    return found


class Published:
    """A topic on which changes are made one after the other."""

    def __init__(self) -> None:
        self.registry = Audiences("t", partial(parse_published, max_samples=1000))
        self.told: list[dict[str, object]] = []
        self._offset = 0

    def make(self, change: Change[decisions.Changes]) -> list[tuple[str, str, int]]:
        for key, value in change.records:
            assert self.registry.take(Consumed("t", 0, self._offset, 0, key, value, []))
            self._offset += 1
        self.told += [msgspec.json.decode(value) for _, value in change.audit]
        return [(each.action, each.audience.id, each.version) for each in change.result]

    def apply(self, *texts: str, ask: Ask = ASK) -> list[tuple[str, str, int]]:
        return self.make(decisions.apply(self.registry, ask, parsed(*texts)))


@pytest.fixture
def topic() -> Published:
    made = Published()
    assert made.apply(FANS, KEEN) == [("created", "fans", 1), ("created", "keen", 1)]
    return made


def test_each_version_says_who_made_it_and_when_and_so_does_the_audit_topic(topic: Published) -> None:
    other = replace(ASK, author=Author("bob", "command"), now_ms=NOW_MS + 5)
    assert topic.apply(FANS_TOO, KEEN, ask=other) == [("changed", "fans", 2), ("unchanged", "keen", 1)]
    versions = topic.registry.versions[b"default/fans"]
    assert [(each.by, each.created_ms) for each in versions.values()] == [
        ("ann", NOW_MS),
        ("bob", NOW_MS + 5),
    ]
    assert topic.told[-1] == {
        "at": "2027-01-15T08:00:00.005Z",
        "by": "bob",
        "via": "command",
        "project": "default",
        "kind": "audience",
        "id": "fans",
        "action": "changed",
        "version": 2,
    }
    assert len(topic.told) == 3


def test_a_later_publication_has_a_later_instant_whatever_the_clock_says(topic: Published) -> None:
    topic.apply(FANS_TOO, ask=replace(ASK, now_ms=NOW_MS - 1000))
    assert topic.registry.published[b"default/fans"].created_ms == NOW_MS + 1


def test_what_others_speak_of_is_not_deleted_and_what_is_deleted_comes_back(topic: Published) -> None:
    with pytest.raises(StillUsed, match="audience 'fans' is part of the rule of 'keen'"):
        decisions.delete(topic.registry, ASK, "default", ["fans"])
    delete = partial(decisions.delete, topic.registry, ASK, "default")
    assert topic.make(delete(["fans", "keen"])) == [("deleted", "fans", 2), ("deleted", "keen", 2)]
    with pytest.raises(NotPublished, match="has no audience 'fans'"):
        delete(["fans"])
    assert topic.apply(FANS) == [("created", "fans", 3)]
    assert topic.told[-1]["action"] == "created"


def test_what_a_destination_names_is_not_deleted(topic: Published) -> None:
    (crm,) = load_destinations(
        [("crm.yaml", "{name: crm, kind: webhook, audiences: [keen], webhook: {url: 'https://c.rm'}}")]
    )
    ask = replace(ASK, destinations=[crm])
    with pytest.raises(StillUsed) as used:
        decisions.delete(topic.registry, ask, "default", ["keen", "fans"])
    assert used.value.faults == ["audience 'keen' is one of destination 'crm': take it out there first"]
    with pytest.raises(StillUsed):
        decisions.apply(topic.registry, ask, [], [("default", "keen")])
    other = replace(ASK, destinations=[replace(crm, project="shop"), replace(crm, audiences=None)])
    assert decisions.delete(topic.registry, other, "default", ["keen"]).records


def test_a_plan_deletes_and_publishes_together(topic: Published) -> None:
    alone = "{id: keen, name: Keen, rule: {event: buy, within: 1d}}"
    change = decisions.apply(topic.registry, ASK, parsed(alone), [("default", "fans")])
    assert topic.make(change) == [("changed", "keen", 2), ("deleted", "fans", 2)]
    with pytest.raises(DefinitionsInvalid, match="fans"):
        decisions.apply(topic.registry, ASK, parsed(KEEN))


@pytest.mark.parametrize(("expected", "version"), [({1}, None), ({2, 3}, 1), ({0}, 1)])
def test_the_expected_version_must_be_there(
    topic: Published, expected: set[int], version: int | None
) -> None:
    ask = replace(ASK, expected={b"default/fans": expected})
    if version is None:
        assert topic.apply(FANS_TOO, ask=ask) == [("changed", "fans", 2)]
        return
    with pytest.raises(VersionMoved) as moved:
        topic.apply(FANS_TOO, ask=ask)
    assert moved.value.version == version


def test_none_is_expected_of_one_that_was_deleted(topic: Published) -> None:
    topic.make(decisions.delete(topic.registry, ASK, "default", ["keen"]))
    assert topic.apply(KEEN, ask=replace(ASK, expected={b"default/keen": {0}})) == [("created", "keen", 3)]


def test_only_what_is_new_is_created_and_only_what_is_there_is_edited(topic: Published) -> None:
    with pytest.raises(AlreadyPublished, match="PUT changes it"):
        decisions.apply(topic.registry, ASK, parsed(FANS), only_new=True)
    (other,) = parsed("{id: fnas, name: Other, rule: {event: view}}")
    with pytest.raises(NotPublished, match="did you mean 'fans'"):
        decisions.edit(topic.registry, ASK, other)


def test_an_earlier_version_comes_back_as_a_new_one(topic: Published) -> None:
    topic.apply(FANS_TOO)
    restore = partial(decisions.restore, topic.registry, ASK, "default")
    assert topic.make(restore("fans", 2)) == [("unchanged", "fans", 2)]
    assert topic.make(restore("fans", 1)) == [("restored", "fans", 3)]
    versions = topic.registry.versions[b"default/fans"]
    assert versions[3].audience == versions[1].audience
    assert (topic.told[-1]["version"], topic.told[-1]["from_version"]) == (3, 1)
    with pytest.raises(NoSuchVersion, match="there are: 1, 2, 3"):
        restore("fans", 4)
    with pytest.raises(NotPublished):
        restore("nobody", 1)


def test_a_version_whose_audiences_are_gone_does_not_come_back(topic: Published) -> None:
    topic.apply("{id: keen, name: Keen, rule: {event: buy}}")
    topic.make(decisions.delete(topic.registry, ASK, "default", ["fans"]))
    with pytest.raises(DefinitionsInvalid, match=r"version 1 of audience 'keen'.*fans"):
        decisions.restore(topic.registry, ASK, "default", "keen", 1)


def test_a_rebuild_is_a_version_with_the_same_definition_that_asks_for_it(topic: Published) -> None:
    assert topic.make(decisions.rebuild(topic.registry, ASK, "default", ["fans"])) == [("rebuilt", "fans", 2)]
    published = topic.registry.published[b"default/fans"]
    assert published.rebuild
    assert published.audience == topic.registry.versions[b"default/fans"][1].audience
    assert topic.apply(FANS) == [("unchanged", "fans", 2)]
    assert topic.apply(FANS_TOO) == [("changed", "fans", 3)]
    assert not topic.registry.published[b"default/fans"].rebuild


def test_a_held_version_is_released_once(topic: Published) -> None:
    topic.apply(FANS_TOO)
    with pytest.raises(NotHeld, match="version 2 of audience 'fans' is not held; there is nothing"):
        decisions.release(topic.registry, ASK, "default", "fans", {1})
    change = decisions.release(topic.registry, ASK, "default", "fans", {2})
    for key, value in change.records:
        assert topic.registry.take(Consumed("t", 0, 9, 0, key, value, []))
    assert topic.registry.released == {(b"default/fans", 2)}
    assert msgspec.json.decode(change.audit[0][1])["action"] == "released"
    assert not decisions.release(topic.registry, ASK, "default", "fans", {2}).records


@pytest.mark.parametrize(("in_force", "back"), [({1}, 1), ({1, 2}, 2), ((), 2)])
def test_a_held_version_is_taken_back_for_the_one_that_decides(
    topic: Published, in_force: Sequence[int], back: int
) -> None:
    topic.apply(FANS_TOO)
    topic.apply("{id: fans, name: Fans, rule: {event: view, within: 9d}}")
    with pytest.raises(NotHeld):
        decisions.take_back(topic.registry, ASK, "default", "fans", {2}, {1})
    change = decisions.take_back(topic.registry, ASK, "default", "fans", {3}, in_force)
    assert topic.make(change) == [("taken_back", "fans", 4)]
    versions = topic.registry.versions[b"default/fans"]
    assert versions[4].audience == versions[back].audience


@pytest.mark.parametrize("rebuilt", [1, 2])
def test_a_held_rebuild_is_taken_back_too(topic: Published, rebuilt: int) -> None:
    """It has the definition that decides, so that this is no other definition, but another version."""
    if rebuilt == 2:
        topic.apply(FANS_TOO)
    topic.make(decisions.rebuild(topic.registry, ASK, "default", ["fans"]))
    held = rebuilt + 1
    change = decisions.take_back(topic.registry, ASK, "default", "fans", {held}, {1})
    assert topic.make(change) == [("taken_back", "fans", held + 1)]
    back = topic.registry.published[b"default/fans"]
    assert (back.goes_on_from, back.rebuild) == (1, False)
    assert back.audience == topic.registry.versions[b"default/fans"][1].audience


SHORT = [LogBegin("events/0", NOW_MS - 3 * DAY_MS), LogBegin("events/1", None, whole=True)]
Tried = Callable[[Published, Ask], Change[decisions.Changes]]
TOO_SHORT: list[Tried] = [
    lambda topic, ask: decisions.apply(topic.registry, ask, parsed(FANS_TOO)),
    lambda topic, ask: decisions.rebuild(topic.registry, ask, "default", ["fans"]),
]


@pytest.mark.parametrize("tried", TOO_SHORT)
def test_a_history_that_is_too_short_is_an_error_of_all_that_would_be_computed(
    topic: Published, tried: Tried
) -> None:
    ask = replace(ASK, logs=SHORT)
    with pytest.raises(DefinitionsInvalid) as invalid:
        tried(topic, ask)
    problems = invalid.value.problems
    # 'keen' asks about it, and so is computed anew with it.
    assert {(each.code, each.audience) for each in problems} == {
        ("history_incomplete", "fans"),
        ("history_incomplete", "keen"),
    }
    assert "backfill: {history: 3d} accepts" in problems[0].hint


def test_less_history_is_accepted_when_its_author_says_so(topic: Published) -> None:
    ask = replace(ASK, logs=SHORT)
    topic.make(decisions.delete(topic.registry, ask, "default", ["keen"]))
    fewer = FANS_TOO.replace("id: fans", "id: fans, backfill: {history: 2d}")
    assert topic.apply(fewer, ask=ask) == [("changed", "fans", 2)]
    assert topic.apply(fewer.replace("name: Fans", "name: F"), ask=ask) == [("changed", "fans", 3)]


BACK: list[Tried] = [
    lambda topic, ask: decisions.apply(topic.registry, ask, parsed(FANS)),
    lambda topic, ask: decisions.restore(topic.registry, ask, "default", "fans", 1),
    lambda topic, ask: decisions.take_back(topic.registry, ask, "default", "fans", {2}, {1}),
]


@pytest.mark.parametrize("tried", BACK)
def test_going_back_to_what_decides_needs_no_history(topic: Published, tried: Tried) -> None:
    topic.apply(FANS_TOO)
    ask = replace(ASK, logs=SHORT)
    with pytest.raises(DefinitionsInvalid):  # where it doesn't decide it would be computed anew
        tried(topic, ask)
    ((_, _, version),) = topic.make(tried(topic, replace(ask, deciding={b"default/fans": 1})))
    assert version == 3


def test_what_is_refused_is_said_to_users() -> None:
    assert str(ChangeRefused("no", "do")) == "no; do"


def test_a_project_has_no_more_audiences_than_it_may_have_and_a_deletion_makes_room(topic: Published) -> None:
    two = replace(ASK, max_audiences=2)
    new = "{id: new, name: New, rule: {event: view}}"
    told = "project 'default' has 2 audiences of 2 that it may have, and would have 3; delete some"
    with pytest.raises(QuotaUsedUp, match=told):
        topic.apply(new, ask=two)
    assert topic.apply(FANS_TOO, ask=two) == [("changed", "fans", 2)]
    elsewhere = "{id: new, name: New, project: other, rule: {event: view}}"
    assert topic.apply(elsewhere, ask=two) == [("created", "new", 1)]
    delete = partial(decisions.apply, topic.registry, two)
    assert topic.make(delete(parsed(new), [("default", "keen")])) == [
        ("created", "new", 1),
        ("deleted", "keen", 2),
    ]
    with pytest.raises(QuotaUsedUp):
        decisions.restore(topic.registry, two, "default", "keen", 1)


def test_a_project_that_has_too_many_already_may_still_change_and_delete_them(topic: Published) -> None:
    one = replace(ASK, max_audiences=1)
    assert topic.apply(FANS_TOO, ask=one) == [("changed", "fans", 2)]
    assert topic.make(decisions.delete(topic.registry, one, "default", ["keen"])) == [("deleted", "keen", 2)]

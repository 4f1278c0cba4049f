"""Who may do what with a connection: by scope, by project, by the keys that it names."""

from __future__ import annotations

import pytest

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from app.http.api_keys import ANYBODY, Caller
from app.http.problems import HttpProblem
from app.publish.named.rights import administers, require_administrator, sees, usable, uses

OPEN, NAMED, SHARED = load_connections(
    [
        (
            "c.yaml",
            """
connections:
  - {name: open, kind: kafka, project: one, kafka: {}}
  - {name: named, kind: kafka, project: one, use: {keys: [sender]}, administer: [team], kafka: {}}
  - {name: shared, kind: kafka, project: one, use: {projects: [two], keys: [guest]}, kafka: {}}
""",
        )
    ]
)
PUBLISHED = {each.key: PublishedConnection(each, 1) for each in (OPEN, NAMED, SHARED)}


def key(name: str, project: str = "one", scope: str = "destinations") -> Caller:
    return Caller(name, frozenset({scope}), frozenset({project}))


def named_by(caller: Caller, project: str) -> list[str]:
    return sorted(usable(caller, project, PUBLISHED))


def test_a_connection_is_closed_to_its_own_project_unless_it_says_otherwise() -> None:
    assert named_by(key("anyone"), "one") == ["one/open"]
    assert named_by(key("sender"), "one") == ["one/named", "one/open"]
    assert named_by(key("team"), "one") == ["one/named", "one/open"], "who administers one may use it"
    assert named_by(key("boss", scope="admin"), "one") == ["one/named", "one/open", "one/shared"]
    assert named_by(key("guest", "two"), "two") == ["one/shared"]
    assert named_by(key("anyone", "two"), "two") == []
    assert named_by(ANYBODY, "one") == ["one/named", "one/open", "one/shared"]


def test_who_may_neither_use_nor_administer_one_does_not_see_it() -> None:
    assert not sees(key("anyone"), NAMED)
    assert not sees(key("guest", "three"), SHARED)
    assert sees(key("guest", "two"), SHARED)
    assert sees(key("guest", "*"), SHARED)
    assert sees(key("team"), NAMED)


def test_only_the_scope_admin_or_a_key_that_it_names_administers_one() -> None:
    assert administers(key("team"), NAMED)
    assert not administers(key("team", "two"), NAMED), "its key isn't for the project"
    assert not administers(key("boss", "two", "admin"), OPEN)
    assert not uses(key("boss", "two", "admin"), OPEN, "two")
    require_administrator(key("boss", scope="admin"), OPEN)
    for caller in (key("sender"), key("team", "two")):
        with pytest.raises(HttpProblem) as caught:
            require_administrator(caller, NAMED)
        assert caught.value.status == 403

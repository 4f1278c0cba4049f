"""What raises where definitions are changed, and the status that it is answered with."""

from __future__ import annotations

import pytest
from aiokafka.errors import NotEnoughReplicasError

from agents.topics.fault import TopicsUnusable
from app.failures import CommandFailed
from app.http.problems import HttpProblem
from app.publish.problems import refusals
from app.publish.refused import (
    AlreadyPublished,
    ChangeRefused,
    NoSuchVersion,
    NotHeld,
    NotPermitted,
    NotPublished,
    QuotaUsedUp,
    StillUsed,
    VersionMoved,
)
from rules.parse.problems import DefinitionProblem, DefinitionsInvalid

PROBLEM = DefinitionProblem(
    "unknown_key", "no such key", "rule.evnt", "definition", 1, 2, "did you mean event?"
)


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (NotPublished("none", "allowed: a"), 404),
        (NoSuchVersion("none"), 404),
        (AlreadyPublished("there"), 409),
        (StillUsed(["a of b", "a of c"]), 409),
        (NotHeld("no"), 409),
        (QuotaUsedUp("7 of 7"), 409),
        (VersionMoved("moved", 3), 412),
        (DefinitionsInvalid([PROBLEM]), 422),
        (CommandFailed("no rights"), 503),
        (TopicsUnusable("lost"), 503),
        (NotEnoughReplicasError(), 503),
        (TimeoutError(), 503),
    ],
)
def test_each_refusal_has_its_status(raised: Exception, status: int) -> None:
    with pytest.raises(HttpProblem) as problem, refusals():
        raise raised
    assert problem.value.status == status
    details = problem.value.details("/v1/audiences/a")
    assert details.status == status
    assert details.detail
    assert ("ETag" in problem.value.headers) == (status == 412)
    if status == 422:
        assert [each.path for each in details.errors or ()] == ["rule.evnt"]
    if isinstance(raised, StillUsed):
        assert [each.message for each in details.errors or ()] == raised.faults


def test_every_kind_of_refusal_has_a_status() -> None:
    for kind in ChangeRefused.__subclasses__():
        refused = kind.__new__(kind)
        Exception.__init__(refused, "no")
        refused.text, refused.hint = "no", ""
        if isinstance(refused, VersionMoved):
            refused.version = 1
        if isinstance(refused, NotPermitted | StillUsed):
            refused.faults = []
        with pytest.raises(HttpProblem) as problem, refusals():
            raise refused
        assert problem.value.status in (404, 409, 412, 422)


def test_a_bug_is_no_refusal() -> None:
    with pytest.raises(ZeroDivisionError), refusals():
        raise ZeroDivisionError

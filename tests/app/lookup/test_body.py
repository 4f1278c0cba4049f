"""The body of a lookup: what is wrong is told at once, with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.http.problems import HttpProblem
from app.http.routes import ROUTE, Route
from app.http.users import UserRef
from app.lookup.body import LookupBody
from app.lookup.model import LookupRequest
from rules.compile.rule_set import RuleSet
from tests.stage.compare import rules_of

RULES = rules_of(
    "audiences: [{id: buyers, name: B, rule: {event: buy}}, {id: viewers, name: V, rule: {event: view}}]"
)


async def read(body: Any, rules: RuleSet | None = RULES) -> LookupRequest | HttpProblem:
    """What a lookup's body is read as, by a real server."""
    found: list[LookupRequest | HttpProblem] = []
    reader = LookupBody()

    async def handler(request: web.Request) -> web.Response:
        request[ROUTE] = Route("POST", "/", handler, None, body=reader)
        try:
            found.append(await reader.of(request, "default", rules))
        except HttpProblem as problem:
            found.append(problem)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handler)
    async with TestClient(TestServer(app)) as client:
        await client.post("/", data=body if isinstance(body, bytes) else json.dumps(body))
    return found[0]


def errors(problem: object) -> list[tuple[str, str]]:
    assert isinstance(problem, HttpProblem)
    told = problem.details("/").errors
    assert isinstance(told, tuple)
    return [(each.code, each.path) for each in told]


async def test_users_are_named_by_id_or_by_identity() -> None:
    body = {
        "users": [{"user_id": "ann"}, {"user_id": 7}, {"identity": {"email": "a@b.c"}}],
        "audiences": ["buyers", "buyers"],
        "deadline_ms": 50,
    }
    users = (UserRef("ann"), UserRef("7"), UserRef(identity=("email", "a@b.c")))
    assert await read(body) == LookupRequest("default", users, ("buyers",), deadline_ms=50)


async def test_everything_that_is_wrong_is_told_at_once() -> None:
    body = {
        "users": [
            {"user_id": "ann"},
            {"user_id": ""},
            {"user": "x"},
            {"user_id": "a", "identity": {"email": "e"}},
            "u1",
            {"identity": {"email": 1}},
        ],
        "audiences": ["buyers", "buyer", 3],
        "deadline_ms": 0,
        "audience": "x",
    }
    problem = await read(body)
    assert errors(problem) == [
        ("unknown_field", "audience"),
        ("invalid_value", "users[1].user_id"),
        ("unknown_field", "users[2].user"),
        ("invalid_value", "users[3]"),
        ("invalid_value", "users[4]"),
        ("invalid_value", "users[5].identity"),
        ("invalid_value", "audiences[2]"),
        ("invalid_value", "deadline_ms"),
        ("unknown_audience", "audiences[1]"),
    ]
    assert isinstance(problem, HttpProblem)
    assert problem.status == 400


async def test_an_unknown_audience_alone_is_a_404_with_the_nearest_name() -> None:
    problem = await read({"users": [{"user_id": "ann"}], "audiences": ["buyer"]})
    assert isinstance(problem, HttpProblem)
    assert problem.status == 404
    (error,) = problem.details("/").errors or ()
    assert "buyers" in error.hint


@pytest.mark.parametrize(
    "body",
    [b"[]", b"", b"{", b'{"users":[]}', b"\xff", json.dumps({"users": [{"user_id": "u"}] * 1001}).encode()],
)
async def test_what_is_no_lookup_is_refused(body: bytes) -> None:
    problem = await read(body)
    assert isinstance(problem, HttpProblem)
    assert problem.status == 400


async def test_pairs_are_limited_with_and_without_audiences() -> None:
    many = rules_of(
        json.dumps(
            {"audiences": [{"id": f"a{n}", "name": f"A{n}", "rule": {"event": f"e{n}"}} for n in range(11)]}
        )
    )
    users = [{"user_id": f"u{number}"} for number in range(1000)]
    assert errors(await read({"users": users}, many)) == [("invalid_value", "$")]
    assert isinstance(
        await read({"users": users, "audiences": [f"a{n}" for n in range(10)]}, many), LookupRequest
    )


async def test_attributes_are_named_or_all_and_count_as_pairs() -> None:
    def asking(users: int, attributes: object) -> dict[str, object]:
        return {"users": [{"user_id": f"u{n}"} for n in range(users)], "attributes": attributes}

    for given, wanted in [(["a", "b", "a"], ("a", "b")), (True, ()), (False, None), (None, None)]:
        found = await read(asking(1, given))
        assert isinstance(found, LookupRequest)
        assert found.attributes == wanted
    for wrong in ("a", [], {}, 1):
        assert errors(await read(asking(1, wrong))) == [("invalid_value", "attributes")]
    assert errors(await read(asking(1, ["a", "", 3]))) == [
        ("invalid_value", "attributes[1]"),
        ("invalid_value", "attributes[2]"),
    ]
    assert isinstance(await read(asking(90, True)), LookupRequest)
    problem = await read(asking(100, True))
    assert errors(problem) == [("invalid_value", "$")]
    assert "an audience or attribute" in str(problem)

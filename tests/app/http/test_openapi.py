"""The OpenAPI documents are made from the routes that are served, and what is answered is what they say."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from msgspec import Struct
from prometheus_client import CollectorRegistry

from app.deliver.http import DeliverServer
from app.http.answers import Json, ProblemDetails, ProblemError, Text
from app.http.openapi import openapi_of
from app.http.routes import JsonBody, Query, Route
from app.kafka.configured import plan_of
from app.settings.tree import load_settings
from app.worker.answers import ExplainedNode, Explanation, Member, MemberAudience, UserAudiences
from app.worker.http import Server

AT = "2026-01-02T03:04:05.000Z"


class Order(Struct):
    name: str
    count: int = 1


class Receipt(Struct):
    order: Order


TAKEN = JsonBody(Order, "Not an order")
PROJECT = Query("project", "Whose it is", default="default")


async def order(request: web.Request) -> Json[Receipt] | Text:
    return Json(Receipt(Order("hat")))


async def plain(request: web.Request) -> Text:
    return Text("ok\n")


ORDER = Route(
    "POST",
    "/orders/{name:[^/]+}",
    order,
    "lookup",
    "Order",
    query=(PROJECT,),
    body=TAKEN,
    statuses=(201,),
    problems=(409,),
)


def served(server: Any) -> dict[str, Any]:
    return openapi_of(server._base._routes)


def of_process(**more: Any) -> Any:
    """What both servers need of a process that isn't started."""
    settings = load_settings(environ={})
    base = SimpleNamespace(
        settings=settings,
        warnings=SimpleNamespace(totals={}),
        keys=None,
        plan=plan_of(settings),
        running={},
        crashed=None,
        metrics=SimpleNamespace(registry=CollectorRegistry()),
        not_ready=list,
        owner_of=None,
        url_of=None,
        advertised_url="",
    )
    base.__dict__.update(more)
    return base


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return {"worker": served(Server(of_process())), "deliverer": served(DeliverServer(of_process()))}


def test_a_route_is_described_by_what_its_handler_takes_and_answers() -> None:
    described = openapi_of([ORDER, Route("GET", "/plain", plain, None, "Plain")])
    operation = described["paths"]["/orders/{name}"]["post"]
    assert [(each["name"], each["in"]) for each in operation["parameters"]] == [
        ("name", "path"),
        ("project", "query"),
    ]
    taken = operation["requestBody"]["content"]["application/json"]["schema"]
    assert taken == {"$ref": "#/components/schemas/Order"}
    assert sorted(operation["responses"]) == ["201", "400", "401", "403", "408", "409", "413", "429", "503"]
    answered = operation["responses"]["201"]["content"]
    assert answered["application/json"]["schema"] == {"$ref": "#/components/schemas/Receipt"}
    assert "text/plain" in answered
    assert described["components"]["schemas"]["Order"]["required"] == ["name"]
    open_to_all = described["paths"]["/plain"]["get"]
    assert (open_to_all["security"], sorted(open_to_all["responses"])) == ([], ["200"])


def test_both_servers_describe_every_route_that_they_serve(documents: dict[str, dict[str, Any]]) -> None:
    common = {"/livez", "/readyz", "/metrics", "/openapi.json"}
    one, audience = "/v1/destinations/{name}", "/v1/audiences/{audience}"
    sensors = {each for each in documents["worker"]["paths"] if each.startswith("/api/v3/focus/v1/express-")}
    assert len(sensors) == 7
    assert set(documents["worker"]["paths"]) == common | sensors | {
        "/v1/lookup",
        "/v1/identities:resolve",
        "/v1/identities:rebuild",
        "/v1/identities/collisions",
        "/v1/users/{user_id}",
        "/v1/users/{user_id}/audiences",
        "/v1/erasures/{erasure}",
        "/v1/users/{user_id}/erasure",
        "/v1/users/{user_id}/explain/{audience}",
        "/v1/audiences/{audience}/members/{user_id}",
        "/v1/audiences/{audience}/members",
        "/v1/audiences/{audience}/size",
        "/v1/partitions/sizes",
        "/v1/audiences",
        "/v1/audiences:validate",
        "/v1/audiences:estimate",
        audience,
        f"{audience}/transitions",
        f"{audience}:rebuild",
        f"{audience}:release",
        f"{audience}:take-back",
        f"{audience}/versions",
        f"{audience}/versions/{{version}}",
        f"{audience}/versions/{{version}}:restore",
    }
    assert set(documents["worker"]["paths"]["/v1/audiences"]) == {"get", "post"}
    assert set(documents["worker"]["paths"][audience]) == {"get", "put", "delete"}
    assert set(documents["deliverer"]["paths"]) == common | {
        "/v1/destinations",
        one,
        f"{one}:test",
        f"{one}:replay",
        "/v1/connections",
        "/v1/connections/{name}",
        "/v1/connections/{name}:test",
    }
    assert set(documents["deliverer"]["paths"][one]) == {"get", "put", "delete"}


def test_every_schema_is_valid_and_every_reference_leads_somewhere(
    documents: dict[str, dict[str, Any]],
) -> None:
    for described in documents.values():
        schemas = described["components"]["schemas"]
        for each in schemas.values():
            Draft202012Validator.check_schema(each)
        named = re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(described).decode())
        assert set(named) <= schemas.keys()
        for path in described["paths"].values():
            for operation in path.values():
                assert operation["summary"]


@pytest.mark.parametrize(
    "answer",
    [
        Member(True, AT, None, AT, 3),
        Member(False, None, None, AT),
        UserAudiences("ann", "default", AT, [MemberAudience("a", "A", AT, AT, 1)]),
        Explanation(
            "ann",
            "default",
            "a",
            "A",
            1,
            AT,
            False,
            None,
            None,
            ExplainedNode(
                "all",
                "All of:",
                False,
                "",
                None,
                parts=[ExplainedNode("event", "a", True, "b", AT, facts={})],
            ),
        ),
        ProblemDetails(
            "about:blank", "t", 404, "d", "/", errors=(ProblemError("code", "rule", "wrong", ""),)
        ),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_answers_are_as_described(answer: Any, documents: dict[str, dict[str, Any]]) -> None:
    described = documents["worker"]
    name = type(answer).__name__
    validator = Draft202012Validator({**described, "$ref": f"#/components/schemas/{name}"})
    body = msgspec.json.decode(Json(answer).body)
    validator.validate(body)
    assert list(validator.iter_errors({**body, **dict.fromkeys(body)}))


def test_a_parameter_that_is_not_described_is_not_read(tmp_path: Path) -> None:
    from app.http.routes import ROUTE

    request: Any = {ROUTE: Route("GET", "/plain", plain, None)}
    with pytest.raises(AssertionError, match="project"):
        PROJECT.of(request)

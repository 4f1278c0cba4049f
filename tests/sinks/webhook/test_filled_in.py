"""Webhooks of a connection, as they arrive: parameters, the id to reach by, values given for a test send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from agents.connections.resolve import resolved, resolved_or_refused
from agents.deliver.definitions.destination import Destination
from app.deliver.trial import TestSend, send_test
from app.settings.tree import load_settings
from rules.parse.problems import DefinitionsInvalid
from tests.stage.delivery import transition
from tests.stage.delivery_engine import destination, lab, messages
from tests.stage.receiver import Receiver, receiver

PRIVATE = {"TURNSTILE_DELIVER__ALLOW_PRIVATE": "true"}
USE = """
name: d
kind: webhook
connection: crm
id_type: mobile
reach_by: email
webhook:
  parameters: {text: "Dear ${name}, about ${audience}", path: "${name}/../${name}"}
  variables: {name: {attribute: nick, default: Member}}
"""


def of_crm(hook: Receiver, use: str = USE) -> Destination:
    template = {
        "url": f"{hook.url}/a?who=${{path}}",
        "headers": {"X-Text": "${text}"},
        "parameters": {
            "text": {"required": True},
            "path": {},
            "percent": {"type": "number", "default": 5},
            "rest": {},
        },
        "json": {
            "text": "${text}",
            "percent": "${percent}",
            "rest": "${rest}",
            "to": ["${id_type}", "${user_id}", "${reach_by}", "${reach_id}"],
        },
    }
    text = json.dumps({"name": "crm", "kind": "webhook", "webhook": template})
    (found,) = load_connections([("crm.json", text)])
    return resolved_or_refused(destination(use), {found.key: PublishedConnection(found, 1)})


@asynccontextmanager
async def lookups(users: dict[str, dict[str, object]]) -> AsyncIterator[str]:
    async def user(request: web.Request) -> web.Response:
        return web.json_response(users[request.query["user_id"]])

    app = web.Application()
    app.router.add_get("/v1/users/-", user)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_parameters_are_filled_in_for_each_user_and_stay_values() -> None:
    both = {"mobile": "+4912", "email": "ann@x.example"}
    users = {
        "u1": {"attributes": {"nick": "Ann\r\nX: y"}, "identities": both},
        "u2": {"attributes": {"nick": ""}, "identities": {**both, "mobile": "+4913"}},
        "u3": {"attributes": {}, "identities": {"mobile": "+4914"}},
    }
    async with (
        receiver() as hook,
        lookups(users) as url,
        lab("", made=of_crm(hook), lookup_url=url) as made,
    ):
        await made.deliver(messages([transition(each, 1) for each in users]))
        by_user = {each["to"][1]: each for each in hook.taken}
        assert by_user == {
            "+4912": {
                "text": "Dear Ann\r\nX: y, about a",
                "percent": 5,
                "rest": None,
                "to": ["mobile", "+4912", "email", "ann@x.example"],
            },
            "+4913": {
                "text": "Dear Member, about a",
                "percent": 5,
                "rest": None,
                "to": ["mobile", "+4913", "email", "ann@x.example"],
            },
        }
        assert [(message.user_id, code, reason) for message, code, reason in made.buried] == [
            ("u3", "no_identity", "the user has no identity 'email'")
        ]
        paths = {request.path for request, _ in hook.requests}
        assert paths == {"/hook/a"}, "a parameter can't lead elsewhere"
        headers = {request.headers["X-Text"] for request, _ in hook.requests}
        assert headers == {"Dear Ann  X: y, about a", "Dear Member, about a"}


async def test_a_test_send_takes_an_id_of_a_type_and_values_of_variables() -> None:
    settings = load_settings(None, PRIVATE)
    wanted = TestSend(
        id="ann",
        id_type="nickname",
        identities={"email": "a@x.example"},
        variables={"name": "Zed ${user_id}", "percent": 9},
    )
    async with receiver() as hook:
        result = await send_test(settings, of_crm(hook), wanted)
        assert (result.ok, result.outcome) == (True, "delivered")
        (taken,) = hook.taken
        assert taken["to"] == ["nickname", "ann", "email", "a@x.example"]
        assert (taken["text"], taken["percent"]) == ("Dear Zed ${user_id}, about test", 9)
        empty = TestSend(id="1", identities={"email": "e"}, variables={"name": ""})
        assert (await send_test(settings, of_crm(hook), empty)).ok
        assert hook.taken[1]["text"] == "Dear Member, about test"
        nobody = await send_test(settings, of_crm(hook), TestSend(id="1"))
        assert "has no identity 'email'" in nobody.outcome
        unknown = await send_test(settings, of_crm(hook), TestSend(id="1", variables={"nam": 1}))
        assert "no variable 'nam'; did you mean 'name'?" in unknown.outcome
        assert len(hook.taken) == 2


async def test_reach_by_goes_along_in_the_bodies_lytics_and_segment() -> None:
    async with receiver() as hook:
        for body in ("lytics", "segment"):
            plain = destination(
                f"{{name: d, kind: webhook, body: {body}, reach_by: email, webhook: {{url: '{hook.url}'}}}}"
            )
            wanted = TestSend(id="u1", identities={"email": "a@x.example"})
            assert (await send_test(load_settings(None, PRIVATE), plain, wanted)).ok
        lytics, segment = hook.taken
    assert lytics["data"]["email"] == "a@x.example"
    assert segment["context"]["traits"] == {"email": "a@x.example"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("reach_by: email, webhook: {url: 'https://a.example'}", "'reach_by' has no effect"),
        ("webhook: {url: 'https://a.example', json: '${reach_id}'}", "'reach_by' must say which"),
        ("reach_by: email, id_type: email, webhook: {url: 'https://a.example'}", "is already"),
        ("reach_by: user_id, webhook: {url: 'https://a.example'}", "the name of an identity"),
    ],
)
def test_reach_by_must_make_a_difference(more: str, told: str) -> None:
    with pytest.raises(DefinitionsInvalid, match=told.replace("$", r"\$")):
        destination(f"{{name: d, kind: webhook, {more}}}")


async def test_a_template_that_sends_it_needs_reach_by() -> None:
    async with receiver() as hook:
        assert "'reach_by' must say" in of_crm(hook, USE.replace("reach_by: email\n", "")).refused
        done = of_crm(hook)
        assert resolved(done, {}) is done, "resolved once"

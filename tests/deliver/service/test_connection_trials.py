"""Tests of connections: against real receivers, brokers, servers; what is wrong is told, without secrets."""

from __future__ import annotations

import pytest
from aiohttp import web

from agents.connections.connection import Connection
from agents.connections.parse import load_connections
from app.deliver.connections.trial import ConnectionTest, ConnectionTestResult, try_connection
from app.settings.tree import Settings
from tests.eventhub.reading import ReadableHub
from tests.stage.receiver import receiver

TOKEN = "Bearer tok-3f9a/+ 1c77"


def connection(text: str) -> Connection:
    (found,) = load_connections([("c.yaml", text)])
    return found


def settings(**deliver: object) -> Settings:
    secret = {"name": "TOKEN", "source": {"env": "CRM_TOKEN"}, "hosts": ["127.0.0.1", "localhost"]}
    return Settings.model_validate({"deliver": {"allow_private": True, "secrets": [secret], **deliver}})


async def tried(text: str, known: Settings | None = None) -> ConnectionTestResult:
    return await try_connection(known or settings(), connection(text), ConnectionTest())


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", TOKEN)


def webhook(url: str) -> str:
    return f"""
name: crm
kind: webhook
webhook:
  url: {url}
  headers: {{Authorization: {{secret: TOKEN}}, X-User: "${{user_id}}"}}
  parameters: {{text: {{required: true}}}}
"""


async def test_a_receiver_is_asked_with_the_secrets_and_without_a_message() -> None:
    seen: list[tuple[str, str, dict[str, str]]] = []

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        seen.append((request.method, request.path, dict(request.headers)))
        return web.Response(status=405 if request.headers["Authorization"] == TOKEN else 401)

    async with receiver() as hook:
        hook.answer = answer
        found = await tried(webhook(f"{hook.url}/x"))
        assert (found.ok, found.outcome) == (True, "the receiver answered 405 to HEAD")
        await tried(webhook(hook.url + "/${text}/y"))
    assert [(method, path) for method, path, _ in seen] == [("HEAD", "/hook/x"), ("HEAD", "/")]
    assert all("X-User" not in headers for *_, headers in seen)


async def test_an_address_that_is_a_secret_may_hold_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as hook:
        monkeypatch.setenv("CRM_TOKEN", f"{hook.url}/tok-3f9a1c77/${{text}}")
        secret = "{name: crm, kind: webhook, webhook: {url: {secret: TOKEN}, parameters: {text: {}}}}"
        found = await tried(secret)
    assert (found.ok, found.outcome) == (True, "the receiver answered 200 to HEAD")


@pytest.mark.parametrize(
    ("status", "told"), [(401, "doesn't let us in"), (302, "answered 302"), (503, "503")]
)
async def test_what_a_receiver_refuses_is_told(status: int, told: str) -> None:
    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": TOKEN})

    async with receiver() as hook:
        hook.answer = answer
        found = await tried(webhook(hook.url))
    assert not found.ok
    assert told in found.outcome


async def test_what_keeps_it_from_connecting_is_told_without_secrets() -> None:
    silent = webhook("http://127.0.0.1:9/")
    assert "no connection" in (await tried(silent)).outcome
    assert (
        "not an address of the public internet"
        in (await tried(silent, settings(allow_private=False))).outcome
    )
    elsewhere = await tried(webhook("http://127.0.0.2:9/"))
    assert "not to 127.0.0.2:9" in elsewhere.outcome
    cluster = """
name: lake
kind: kafka
kafka:
  bootstrap: 127.0.0.1:9
  security_protocol: SASL_PLAINTEXT
  sasl_mechanism: PLAIN
  sasl_username: {secret: TOKEN}
  sasl_password: {secret: TOKEN}
"""
    found = await tried(cluster)
    assert not found.ok
    assert "127.0.0.1:9" in found.outcome
    assert TOKEN not in str((elsewhere, found))


async def test_a_kafka_cluster_tells_its_brokers(kafka: str) -> None:
    own = Settings.model_validate({"kafka": {"bootstrap": kafka}, "deliver": {"allow_private": True}})
    found = await tried(f"{{name: lake, kind: kafka, kafka: {{bootstrap: '{kafka}'}}}}", own)
    assert (found.ok, found.kind) == (True, "kafka")
    assert found.outcome in ("one broker answered", "3 brokers answered")


async def test_an_event_hub_tells_its_partitions(
    event_hub: ReadableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_TOKEN", event_hub.connection_string)
    known = settings(eventhub_hosts=["localhost", "127.0.0.1"])
    found = await tried("{name: hubs, kind: eventhub, eventhub: {connection_string: {secret: TOKEN}}}", known)
    assert (found.ok, found.outcome.partition(" it has ")[0]) == (True, "the hub answered:"), found
    named = await tried(
        "{name: hubs, kind: eventhub, eventhub: {namespace: x.servicebus.windows.net}}", known
    )
    assert "say which one is to be asked" in named.outcome

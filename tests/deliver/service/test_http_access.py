"""Who may see and change destinations, and bodies that are nonsense, on a real delivery worker."""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp import ClientSession

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audit import AuditRecord, read_audit
from tests.app.http.lab import api_key
from tests.stage.delivery import scene
from tests.stage.receiver import receiver
from tests.stage.workers import until

BODIES = [
    b"",
    b"\xff",
    b"\x00",
    b"null",
    b"[]",
    b"a: b\n---\nc: d",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"- " * 20_000,
    b"a: &a [*a]",
    b"a: 1" + b"0" * 5000,
    b'{"user_id": "\\ud800"}',
    b'{"user_id": "\\ud800", "attributes": {"\\ud800": "\\udfff"}}',
    b'{"user_id": ""}',
    b'{"user_id": 5, "event": "other"}',
    b'{"attributes": {"a": 1e999}}',
    b'{"attributes": {"a": ' + b"9" * 6000 + b"}}",
    b'{"identities": {"email": "\\r\\n"}, "properties": {"a": ' + b"[" * 3000 + b"]" * 3000 + b"}}",
    b'{name: mine, kind: webhook, webhook: {url: "http://[::1"}}',
    b'{name: mine, kind: webhook, webhook: {url: "http://a:99999999/"}}',
    b'{name: mine, kind: webhook, project: "\\ud800", webhook: {url: "http://127.0.0.1:1/"}}',
    b"!!python/object/apply:os.system [id]",
    b"2026-13-45",
    b"a: !!binary x",
    b"? [a]\n: b",
]


async def test_keys_and_bodies_on_a_delivery_worker(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    keys = [
        api_key("root", "admin"),
        api_key("one", "destinations", projects=["one"]),
        api_key("two", "destinations", projects=["two"]),
        api_key("look", "lookup"),
    ]
    async with (
        scene(broker, topic_prefix, tmp_path, 1) as stage,
        receiver() as hook,
        ClientSession() as session,
    ):
        deliverer = stage.deliverer(http__api_keys=json.dumps(keys))
        deliverer.start()
        await until(deliverer.is_ready, "it is ready", 40, [deliverer])
        all_of_them = f"{deliverer.url}/v1/destinations"

        async def ask(key: str | None, path: str = "", method: str = "GET", data: bytes | None = None) -> int:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            async with session.request(method, all_of_them + path, headers=headers, data=data) as answer:
                await answer.read()
                return answer.status

        async def seen(key: str) -> list[str]:
            async with session.get(all_of_them, headers={"api-key": key}) as answer:
                return [each["name"] for each in (await answer.json())["destinations"]]

        text = f"{{name: mine, kind: webhook, project: one, webhook: {{url: '{hook.url}'}}}}".encode()
        assert [await ask(key, "/mine", "PUT", text) for key in (None, "no", "look", "two", "one")] == [
            401,
            401,
            403,
            403,
            201,
        ]

        async def is_seen() -> bool:
            return await seen("one") == ["mine"]

        await until(is_seen, "it runs", 20, [deliverer])
        assert (await seen("root"), await seen("two")) == (["mine"], [])
        assert await ask("look") == 403
        # A destination of another project is as if it weren't there, and its name can't be taken over.
        for path, method in (
            ("/mine", "GET"),
            ("/mine", "DELETE"),
            ("/mine:test", "POST"),
            ("/mine:replay", "POST"),
        ):
            assert [await ask(key, path, method) for key in (None, "look", "two")] == [401, 403, 404]
        assert await ask("two", "/mine", "PUT", text.replace(b"one", b"two")) == 403
        assert await ask("one", "/mine", "PUT", text.replace(b"one", b"two")) == 403
        assert hook.taken == []

        for body in BODIES:
            assert await ask("root", "/mine", "PUT", body) == 422, body
            assert await ask("root", "/mine:test", "POST", body) in (200, 400), body
        for path in (
            "/%FF",
            "/%00",
            "/..",
            "/%2e%2e",
            "/a%2Fb",
            "/" + "x" * 7000,
            "/mine%20",
            "/a:test:test",
        ):
            assert await ask("root", path, "PUT", text) in (400, 404, 405, 422), path
            assert await ask("root", path) in (400, 404), path
        assert not deliverer.logged("Traceback"), deliverer.log()
        assert await ask("one", "/mine", "DELETE") == 204
        async with new_consumer(Broker(broker)) as consumer:
            told = [each async for each in read_audit(consumer, f"{topic_prefix}.audit")]
        shown = [(e.by, e.project, e.kind, e.id, e.action) for e in told if isinstance(e, AuditRecord)]
        assert shown[0] == ("one", "one", "destination", "mine", "created")
        assert shown[-1] == ("one", "one", "destination", "mine", "deleted")
        deliverer.end()

"""Kafka destinations and bodies as they arrive, and secrets, which arrive nowhere."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from aiohttp import web

from agents.deliver.definitions.published import destinations_topic
from agents.topics import existing
from tests.deliver.consumer.test_kafka_deliverer import caught_up, command, started
from tests.stage.delivery import START_MS, DeliveryScene, declared, scene, transition
from tests.stage.receiver import receiver
from tests.stage.workers import until

SECRETS = {
    "CRM_TOKEN": "Bearer tok-3f9a/+ 1c77",
    "CRM_SIGN": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "CRM_KEY": "key-81e2d0",
    "CRM_FORM": "form&secret=55",
}
"""What must not be found anywhere; the URL's secret is made in the test."""


async def test_kafka_destinations_have_topics_keys_fields_and_tombstones(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        own = [
            f"{topic_prefix}.in.a",
            f"{topic_prefix}.in.b",
            f"{topic_prefix}.all",
            f"{topic_prefix}.lytics",
        ]
        for topic in own:
            await stage.make(topic, **{"retention.ms": "-1"})
        await stage.define(
            f"""
destinations:
  - name: members
    kind: kafka
    audiences: [a, b]
    kafka:
      topic: "{topic_prefix}.in.${{audience}}"
      membership: true
      fields: {{uid: user_id, since: entered_at}}
  - name: shared
    kind: kafka
    kafka: {{topic: "{topic_prefix}.all", membership: true, bootstrap: "{kafka}"}}
  - name: lytics
    kind: kafka
    body: lytics
    kafka: {{topic: "{topic_prefix}.lytics"}}
"""
        )
        deliverer = stage.deliverer()
        deliverer.start()
        await started(stage, deliverer, "members", "shared", "lytics")
        at = START_MS
        bodies = await stage.send(
            [
                transition("u1", 1, "a", at_ms=at, entered_at_ms=at),
                transition("u1", 1, "b", at_ms=at, entered_at_ms=at),
                transition("u1", 2, "a", at_ms=at + 5, entered_at_ms=at),
                transition("u2", 1, "a", at_ms=at, entered_at_ms=at),
            ]
        )
        for name in ("members", "shared", "lytics"):
            await caught_up(stage, deliverer, name)
        since = {"since": bodies[0]["entered_at"]}
        assert await records(stage, own[0]) == [
            ("u1", {"uid": "u1", **since}),
            ("u1", None),
            ("u2", {"uid": "u2", **since}),
        ]
        assert await records(stage, own[1]) == [("u1", {"uid": "u1", **since})]
        assert await records(stage, own[2]) == [
            ("a/u1", bodies[0]),
            ("a/u1", None),
            ("a/u2", bodies[3]),
            ("b/u1", bodies[1]),
        ]
        lytics = await records(stage, own[3])
        assert [(key, len(body["data"]["segment_events"])) for key, body in lytics] == [
            ("u1", 2),
            ("u1", 1),
            ("u2", 1),
        ]
        assert [each["slug"] for each in lytics[0][1]["data"]["segment_events"]] == ["a", "b"]
        headers = dict((await stage.read(own[1]))[0].headers)
        assert headers["ce_id"].decode() == bodies[1]["id"]
        deliverer.end()


async def records(stage: DeliveryScene, topic: str) -> list[tuple[str, Any]]:
    """(key, value), by key, each key in order."""
    found = [
        (each.key.decode(), None if each.value is None else json.loads(each.value))
        for each in await stage.read(topic)
    ]
    return sorted(found, key=lambda each: each[0])


async def test_no_secret_is_in_a_topic_a_log_an_error_or_what_is_printed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
        """Refuses, and says what it got: what many receivers do."""
        said = f"{request.url} {request.headers} {body.decode()}"
        return web.Response(status=403, text=said)

    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        hook.answer = echo
        file = tmp_path / "url"
        file.write_text(f"{hook.url}/5ecret-path\n")
        secrets = [*SECRETS.values(), "5ecret-path"]
        text = """
name: crm
kind: webhook
webhook:
  url: {secret: CRM_URL}
  headers: {Authorization: {secret: CRM_TOKEN}}
  query: {key: {secret: CRM_KEY}}
  form: {token: {secret: CRM_FORM}, user: "${user_id}"}
  signing_secret: {secret: CRM_SIGN}
"""
        definition = tmp_path / "crm.yaml"
        definition.write_text(text)
        told = {"deliver.secrets": declared(*SECRETS, CRM_URL="url"), "deliver.secrets_dir": str(tmp_path)}
        deliverer = stage.deliverer(logs__level="debug", deliver__lookup_key="l00kup-key", **told)
        deliverer.secrets = dict(SECRETS)
        printed = [await command(stage, "destinations", "apply", str(definition))]
        deliverer.start()
        await started(stage, deliverer, "crm")
        await stage.send([transition("u1", 1)])
        await until(lambda: hook.requests, "it was sent", 20, [deliverer])
        await caught_up(stage, deliverer, "crm")
        request, body = hook.requests[0]
        assert request.path == "/hook/5ecret-path"
        assert request.headers["Authorization"] == SECRETS["CRM_TOKEN"]
        assert request.query["key"] == SECRETS["CRM_KEY"]
        assert b"form%26secret%3D55" in body

        trial, status_shown, settings_shown = await asyncio.gather(
            command(stage, "deliver", "test", "crm", "--user", "u7", **told),
            command(stage, "deliver", "status", "--json"),
            command(stage, "settings", deliver__lookup_key="l00kup-key"),
        )
        shown = json.loads(trial.stdout)
        assert (trial.returncode, shown["ok"]) == (1, False)
        assert shown["outcome"].startswith("refused: http_403")
        (exchange,) = shown["exchanges"]
        assert exchange["request"]["headers"]["Authorization"] == "********"
        assert "user=u7" in exchange["request"]["body"]
        assert exchange["answer"]["status"] == 403
        printed += [trial, status_shown, settings_shown]
        status, over_http = await post(deliverer.url + "/v1/destinations/crm:test", {"user_id": "u8"})
        assert status == 200
        assert "user=u8" in over_http
        deliverer.end()

        places = {
            "log": deliverer.log_file.read_text(),
            "http": over_http,
            **{f"command {at}": each.stdout + each.stderr for at, each in enumerate(printed)},
        }
        for topic in await existing(stage.admin):
            if topic.startswith(topic_prefix):
                for each in await stage.read(topic):
                    places[f"{topic}/{each.partition}/{each.offset}"] = repr(
                        (each.key, each.value, each.headers)
                    )
        letters = [place for place in places if ".crm.dlq/" in place]
        assert len(letters) == 1
        assert "http_403" in places[letters[0]]
        for place, content in places.items():
            for secret in [*secrets, "form%26secret", "tok-3f9a", "l00kup-key"]:
                assert secret not in content, f"{secret} in {place}"

        del deliverer.secrets["CRM_TOKEN"]
        deliverer.start()

        async def told() -> bool:
            found = await deliverer.status("crm")
            return bool(found["state"] == "misconfigured" and "CRM_TOKEN" in found["last_error"]["error"])

        await until(told, "the missing secret is named", 20, [deliverer])


async def test_a_destination_from_before_secrets_were_declared_says_what_to_do_and_sends_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        target = {"url": hook.url, "headers": {"X-Key": {"file": "/proc/self/environ"}}}
        old = {"version": 1, "definition": {"name": "crm", "kind": "webhook", "webhook": target}}
        topic = destinations_topic(topic_prefix)
        await stage.producer.send_and_wait(topic, json.dumps(old).encode(), b"crm", partition=0)
        deliverer = stage.deliverer()
        deliverer.start()
        await started(stage, deliverer, "crm")
        await stage.send([transition("u1", 1)])

        async def is_misconfigured() -> bool:
            return bool((await deliverer.status("crm"))["state"] == "misconfigured")

        await until(is_misconfigured, "it says so", 20, [deliverer])
        found = await deliverer.status("crm")
        assert "write {secret: environ}" in found["last_error"]["error"]
        _, ready = await deliverer.get("/readyz?verbose")
        (warning,) = ready["warnings"]
        assert (warning["code"], warning["place"]) == ("destination_refused", "crm")

        target["headers"] = {"X-Key": "plain"}
        await stage.define(json.dumps(old["definition"]), version=2)
        await until(lambda: hook.taken, "what came meanwhile is sent", 30, [deliverer])
        _, ready = await deliverer.get("/readyz?verbose")
        assert ready["warnings"] == []
        assert len(hook.taken) == 1
        deliverer.end()


async def post(url: str, body: object) -> tuple[int, str]:
    def send() -> tuple[int, str]:
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(send)

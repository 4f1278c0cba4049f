"""``turnstile connections``: on a real broker, beside the destinations and pushes that name them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agents.kafka.clients import new_admin, new_producer
from agents.pushes.contract.parse import load_pushes
from agents.pushes.published import PublishedPush
from agents.registry.definitions import definition_record
from agents.topics import create_topics
from app.kafka.configured import broker_of, plan_of
from app.main import main
from app.settings.tree import load_settings

CONNECTIONS = """
connections:
  - name: crm
    kind: webhook
    webhook: {url: 'https://example.com/in', parameters: {text: {required: true}}, json: "${text}"}
  - {name: lake, kind: kafka, kafka: {}}
"""
NOTIFIED = "{name: told, kind: webhook, webhook: {url: 'https://example.com/told'%s}}"
HOOK = "{name: hook, kind: webhook, connection: crm, webhook: {parameters: {%s}}}"


@pytest.fixture(autouse=True)
def on_broker(broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)
    monkeypatch.setenv("TURNSTILE_LOGS__LEVEL", "error")


async def publish_push(text: str) -> None:
    settings = load_settings()
    topic = plan_of(settings).pushes
    admin = new_admin(broker_of(settings))
    await admin.start()
    await create_topics(admin, {topic: (1, {})}, 1)
    await admin.close()
    (push,) = load_pushes([("push.yaml", text)])
    key, value = definition_record(PublishedPush(push, 1))
    async with new_producer(broker_of(settings), idempotence=False) as producer:
        await producer.send_and_wait(topic, value, key)


def test_they_are_published_used_and_kept_as_long_as_something_names_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def said(code: int, *arguments: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert (caught.value.code or 0) == code, (out, err)
        return out or err

    file = tmp_path / "c.yaml"
    file.write_text(CONNECTIONS)
    assert said(0, "connections", "list") == "no connection is published\n"
    applied = [line.split() for line in said(0, "connections", "apply", str(file)).splitlines()]
    assert applied == [["created", f"default/{name}", "version", "1"] for name in ("crm", "lake")]
    assert "unchanged" in said(0, "connections", "apply", str(file))

    hook = tmp_path / "hook.yaml"
    hook.write_text(HOOK % "txt: hello")
    refused = said(2, "destinations", "apply", str(hook)).splitlines()
    assert [
        each.partition(": ")[0].endswith(f"hook.yaml:1:{column}")
        for each, column in zip(refused, (68, 74), strict=True)
    ] == [True, True], refused
    assert "did you mean 'text'?" in refused[1]
    hook.write_text(HOOK % "text: hello")
    assert "created" in said(0, "destinations", "apply", str(hook))
    notified = tmp_path / "notified.yaml"
    notified.write_text(NOTIFIED % "")
    said(0, "connections", "apply", str(notified))
    push = "{name: nightly, audience: buyers, connection: lake, target: {topic: t, notify: told}}"
    asyncio.run(publish_push(push))
    notified.write_text(NOTIFIED % ", method: PUT")
    assert "push 'nightly' of project 'default' notifies it: a notification is a POST" in said(
        2, "connections", "apply", str(notified)
    )
    shown = json.loads(said(0, "connections", "show", "crm"))
    assert (shown["version"], shown["used_by"]) == (
        1,
        [{"kind": "destination", "project": "default", "name": "hook"}],
    )

    file.write_text(CONNECTIONS.replace("text: {required", "more: {required: true}, text: {required"))
    assert "destination 'hook' of project 'default' uses it" in said(2, "connections", "apply", str(file))
    told = said(2, "connections", "delete", "crm", "lake")
    assert "connection 'crm' is used by destination 'hook' of project 'default'" in told
    assert "connection 'lake' is used by push 'nightly' of project 'default'" in told
    assert "did you mean 'crm'?" in said(2, "connections", "delete", "cmr")
    said(0, "destinations", "delete", "hook")
    assert "deleted" in said(0, "connections", "delete", "crm")

    # Of a command nobody knows the key, unless it says whose rights it means.
    file.write_text(CONNECTIONS.replace("name: lake, kind", "name: lake, use: {keys: [team]}, kind"))
    assert "changed" in said(0, "connections", "apply", str(file))
    lake = tmp_path / "lake.yaml"
    lake.write_text("{name: out, kind: kafka, connection: lake, kafka: {topic: t}}")
    apply = "destinations", "apply", "--dry-run", str(lake)
    assert "no connection 'lake'" in said(2, *apply, "--as", "other")
    for key, noted in ((("--as", "team"), ""), ((), "'default/lake' is for some API keys alone (team)")):
        with pytest.raises(SystemExit):
            main([*apply, *key])
        out, err = capsys.readouterr()
        assert ("created" in out, noted in err, bool(err)) == (True, True, bool(noted))
    tested = json.loads(said(0, "connections", "test", "lake"))
    assert (tested["ok"], tested["outcome"]) == (True, "one broker answered")

"""``turnstile audit``: the changes on a real broker, for people and as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from agents.kafka.clients import new_admin, new_producer
from agents.registry.audit import AuditRecord, audit_record
from agents.topics import create_topics
from app.kafka.configured import broker_of, plan_of
from app.main import main
from app.settings.tree import load_settings
from rules.time.instants import format_instant


async def write(*records: tuple[bytes, bytes]) -> None:
    settings = load_settings()
    topic = plan_of(settings).audit
    admin = new_admin(broker_of(settings))
    await admin.start()
    await create_topics(admin, {topic: (1, {})}, 1)
    await admin.close()
    async with new_producer(broker_of(settings), idempotence=False) as producer:
        for key, value in records:
            await producer.send_and_wait(topic, value, key)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["audit", *arguments])
    out, err = capsys.readouterr()
    return caught.value.code or 0, out, err


@pytest.fixture(autouse=True)
def on_broker(broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)
    monkeypatch.setenv("TURNSTILE_LOGS__LEVEL", "error")


def test_changes_are_told_by_time_and_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys) == (0, "no change is known\n", "")
    hour_ago = format_instant(int(time.time() * 1000) - 3_600_000)
    records = [
        AuditRecord(
            at="2026-01-02T03:04:05.000Z",
            by="ann\x1b[2J",
            via="command",
            project="shop",
            kind="audience",
            id="fans",
            action="restored",
            version=3,
            from_version=1,
        ),
        AuditRecord(
            at=hour_ago,
            by="",
            via="http",
            project="*",
            kind="destination",
            id="hub",
            action="created",
            version=1,
        ),
        AuditRecord(
            at=hour_ago, by="bob", via="command", project="other", kind="key", id="dash", action="revoked"
        ),
    ]
    asyncio.run(write(*map(audit_record, records), (b"shop", b"not json")))
    capsys.readouterr()
    code, out, err = told(capsys)
    assert code == 0
    assert out.splitlines() == [
        "2026-01-02T03:04:05.000Z  ann\\x1b[2J  command  restored  audience     shop/fans   "
        "version 3, as version 1",
        f"{hour_ago}  -           http     created   destination  hub         version 1",
        f"{hour_ago}  bob         command  revoked   key          other/dash",
    ]
    assert "passed by, because it can't be used" in err
    assert told(capsys, "--since", "1d")[1].splitlines() == [
        f"{hour_ago}  -    http     created  destination  hub         version 1",
        f"{hour_ago}  bob  command  revoked  key          other/dash",
    ]
    lines = [json.loads(line) for line in told(capsys, "--project", "shop", "--json")[1].splitlines()]
    assert [each["id"] for each in lines] == ["fans", "hub"]  # a change of all projects concerns each
    assert told(capsys, "--project", "none", "--since", "2026-11-28T00:00:00+00:00")[1].count("\n") == 1
    assert told(capsys, "--since", "soon")[::2] == (
        2,
        "--since must be a time that has passed such as 7d or 12h, or an instant such as "
        "2027-01-31T00:00:00Z, got 'soon'\n",
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Standard error of a command that ends well."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    said = capsys.readouterr().err
    assert (caught.value.code or 0) == 0, said
    return said


def test_commands_tell_what_they_change_of_keys_and_destinations(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    run(capsys, "keys", "create", "dash", "--scope", "lookup", "--project", "a", "--project", "b")
    run(capsys, "keys", "rotate", "dash")
    run(capsys, "keys", "revoke", "dash")
    file = tmp_path / "hook.yaml"
    file.write_text("{name: hook, kind: webhook, webhook: {url: 'https://example.com/in'}}")
    run(capsys, "destinations", "apply", str(file))
    run(capsys, "destinations", "apply", str(file))
    run(capsys, "destinations", "delete", "hook")
    changes = [json.loads(line) for line in told(capsys, "--json")[1].splitlines()]
    assert [(each["by"], each["kind"], each["project"], each["action"]) for each in changes] == [
        *[
            ("ann", "key", project, action)
            for action in ("created", "rotated", "revoked")
            for project in "ab"
        ],
        ("ann", "destination", "default", "created"),
        ("ann", "destination", "default", "deleted"),
    ]
    assert [each.get("version") for each in changes[-2:]] == [1, 2]
    assert len(told(capsys, "--project", "b")[1].splitlines()) == 3

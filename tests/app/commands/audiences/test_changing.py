"""Commands that change what is published: restore, rebuild, release, take-back, delete."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agents.backfill.progress.progress import Progress, ProgressKey, encode_key, encode_progress
from agents.kafka.clients import new_admin, new_producer
from agents.topics import create_topics
from app.kafka.configured import broker_of, plan_of
from app.main import main
from app.settings.tree import load_settings
from tests.app.commands.audiences.shell import TWO, Told, published

DO = ("--yes", "--no-wait")


async def tell(id: str, version: int, progress: Progress) -> None:
    """Progress in the table's only partition, as a worker tells it."""
    settings = load_settings()
    topic = plan_of(settings).progress
    admin = new_admin(broker_of(settings))
    await admin.start()
    await create_topics(admin, {topic: (1, {"cleanup.policy": "compact"})}, 1)
    await admin.close()
    async with new_producer(broker_of(settings), idempotence=False) as producer:
        key = encode_key(ProgressKey("default", id, version, 0))
        await producer.send_and_wait(topic, encode_progress(progress), key)


@pytest.fixture
def two_versions(told: Told, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ``keen``: the first with a count of 2, the second with a count of 3."""
    monkeypatch.setenv("TURNSTILE_TOPICS__PARTITIONS", "1")
    published(told, file)
    file.write_text(TWO.replace("gte: 2", "gte: 3"))
    published(told, file)


@pytest.mark.usefixtures("two_versions")
def test_a_version_comes_back_as_a_new_one(told: Told) -> None:
    code, out, err = told("restore", "keen", "1")
    assert (code, err) == (
        2,
        [
            "nothing was done, because nobody can be asked: this is no terminal; --yes does it without a "
            "question"
        ],
    )
    assert "    -   count: {gte: 3}" in out
    assert "    +   count: {gte: 2}" in out
    assert told("restore", "keen", "1", *DO)[1][-1] == "restored default/keen, version 3"
    assert told("restore", "keen", "1", *DO)[::2] == (
        0,
        ["nothing to do: version 3 is the same as version 1"],
    )
    assert told("restore", "keen", "7", *DO)[2] == ["audience 'keen' has no version 7; there are 1, 2, 3"]
    told("delete", "keen", "--yes")
    assert told("restore", "keen", "4", *DO)[2] == [
        "version 4 of audience 'keen' is its deletion; there are 1, 2, 3"
    ]
    assert told("restore", "keen", "2", *DO, "--json")[1][1:] == [
        "  {",
        '    "action": "restored",',
        '    "project": "default",',
        '    "id": "keen",',
        '    "version": 5',
        "  }",
        "]",
    ]
    what = [each["what"] for each in json.loads("\n".join(told("versions", "keen", "--json")[1]))]
    assert what == ["created, as version 2", "deleted", "rule, as version 1", "rule", "created"]


@pytest.mark.usefixtures("two_versions")
def test_audiences_are_computed_anew_some_or_all_of_a_project(told: Told) -> None:
    assert told("rebuild", *DO)[2] == ["give ids of audiences, or --all, but not both"]
    assert told("rebuild", "keen", "--all", *DO)[0] == 2
    assert told("rebuild", "--all", "--project", "x", *DO)[2] == ["there is no audience in project 'x'"]
    assert told("rebuild", "kene", "biyer", *DO)[2] == [
        "there is no audience 'kene' in project 'default'; did you mean 'keen'? allowed: buyer, keen",
        "there is no audience 'biyer' in project 'default'; did you mean 'buyer'? allowed: buyer, keen",
    ]
    assert told("rebuild", "keen", *DO)[1] == [
        "~ will compute default/keen anew: Keen",
        "rebuilt default/keen, version 3",
    ]
    assert len(told("rebuild", "--all", *DO)[1]) == 4
    assert "rebuilt" in told("versions", "keen")[1][1]


@pytest.mark.usefixtures("two_versions")
def test_a_held_version_is_released_or_taken_back_after_its_counts_were_shown(told: Told) -> None:
    assert told("release", "keen", *DO)[2] == [
        "version 2 of audience 'keen' isn't held: no worker has told anything of it"
    ]
    asyncio.run(tell("keen", 1, Progress("ready")))
    asyncio.run(tell("keen", 2, Progress("held", 9, 9, enters=10, exits=30, members=100)))
    counts = "default/keen version 2: 10 would enter, 30 would leave of 100 members"
    assert told("release", "keen")[:2] == (2, [counts])
    assert told("release", "keen", *DO)[1] == [counts, "released default/keen, version 2"]
    code, out, _ = told("take-back", "keen", "--yes")
    assert (code, out) == (0, [counts, "taken back default/keen, version 3"])
    found = json.loads("\n".join(told("versions", "keen", "--json")[1]))
    assert [(each["what"], each["state"]) for each in found] == [
        ("taken back, as version 1", None),
        ("rule", "held"),
        ("created", "ready"),
    ]


@pytest.mark.usefixtures("two_versions")
def test_applying_again_waits_for_what_is_held_and_tells_how_to_go_on(told: Told, file: Path) -> None:
    asyncio.run(tell("keen", 2, Progress("held", 9, 9, enters=10, exits=30, members=100)))
    code, out, err = told("apply", str(file))
    assert code == 3
    assert out == ["nothing to do: all 2 audiences are published already as the files say"]
    assert "  turnstile audiences release keen    lets it change them" in err
    assert told("apply", "--no-wait", str(file))[0] == 0
    listed = told("list")[1]
    assert "held: 10 would enter, 30 would leave" in next(line for line in listed if "keen" in line)


@pytest.mark.usefixtures("two_versions")
def test_what_a_destination_names_is_neither_deleted_nor_pruned(
    told: Told, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = tmp_path / "hook.destination"
    hook.write_text(
        "{name: hook, kind: webhook, webhook: {url: 'https://example.com/in'}, audiences: [keen]}"
    )
    with pytest.raises(SystemExit):
        main(["destinations", "apply", str(hook)])
    capsys.readouterr()
    refusal = ["audience 'keen' is one of destination 'hook': take it out there first"]
    assert told("delete", "keen")[:3] == (2, [], refusal)  # before anybody is asked
    file.write_text("{id: buyer, name: Buyer, rule: {event: buy}}")
    assert told("apply", "--dry-run", "--prune", "--no-estimate", str(file)) == (1, [], refusal)


@pytest.mark.usefixtures("two_versions")
def test_a_deletion_asks_and_is_refused_while_something_refers_to_it(
    told: Told, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told("delete", "keen")[:2] == (2, ["- will delete default/keen: Keen"])
    assert told("delete", "keen", "kene", "--yes")[::2] == (
        2,
        ["there is no audience 'kene' in project 'default'; did you mean 'keen'? allowed: buyer, keen"],
    )
    file.write_text("{id: vip, name: Vip, rule: {audience: keen}}")
    published(told, file)
    assert told("delete", "keen", "--yes")[::2] == (
        2,
        ["audience 'keen' is part of the rule of 'vip': delete or change that first"],
    )
    assert told("delete", "keen", "vip", "--yes")[1][-2:] == [
        "deleted default/keen, version 3",
        "deleted default/vip, version 2",
    ]
    with pytest.raises(SystemExit):
        main(["audit"])
    changes = [line.split()[1:6] for line in capsys.readouterr().out.splitlines()]
    assert changes[-2:] == [
        ["ann", "command", "deleted", "audience", "default/keen"],
        ["ann", "command", "deleted", "audience", "default/vip"],
    ]

"""``turnstile audiences apply`` and what looks at what it published, through the real command on a broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agents.kafka.clients import new_admin, new_producer
from agents.topics import create_topics
from app.commands.authoring.audiences.planned import effects
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import load_settings
from tests.app.commands.audiences.shell import TWO, Told, published

VIP = "{id: vip, name: Vip, rule: {audience: keen, for: 7d}}"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(told: Told, file: Path) -> None:
    assert told("apply", "--dry-run", "--no-estimate", str(file)) == (
        2,
        [
            "+ would create default/keen",
            "+ would create default/buyer",
            "would create 2",
            "dry run: nothing was published",
        ],
        [],
    )
    assert told("list")[1] == ["no audience is published"]
    published(told, file)
    code, out, _ = told("apply", "--dry-run", "--no-estimate", str(file))
    assert (code, out) == (
        0,
        [
            "nothing to do: all 2 audiences are published already as the files say",
            "dry run: nothing was published",
        ],
    )


def test_a_dry_run_that_fails_does_not_say_that_there_are_differences(
    told: Told, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(TWO.replace("count", "cuont"))
    code, _, err = told("apply", "--dry-run", str(file))
    assert code == 1
    assert "did you mean 'count'?" in err[0]
    assert told("apply", str(file))[0] == 2
    file.write_text(TWO)
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    code, _, err = told("apply", "--dry-run", str(file))
    assert (code, err) == (
        1,
        ["Kafka can't be reached at 127.0.0.1:1 (kafka.bootstrap): no broker answers there"],
    )


def test_where_nobody_can_be_asked_nothing_is_published_without_yes(told: Told, file: Path) -> None:
    code, out, err = told("apply", "--no-estimate", str(file))
    assert (code, out[-1]) == (2, "will create 2")
    assert err == [
        "nothing was done, because nobody can be asked: this is no terminal; --yes publishes it, --dry-run "
        "only shows it"
    ]
    assert told("list")[1] == ["no audience is published"]


def test_the_same_folder_twice_does_nothing(told: Told, file: Path) -> None:
    assert published(told, file)[-2:] == [
        "created default/keen, version 1",
        "created default/buyer, version 1",
    ]
    code, out, err = told("apply", str(file.parent))  # nobody needs to be asked
    assert (code, out, err) == (
        0,
        ["nothing to do: all 2 audiences are published already as the files say"],
        [],
    )


def test_a_change_is_shown_as_a_difference_and_gets_the_next_version(told: Told, file: Path) -> None:
    published(told, file)
    file.write_text(TWO.replace("gte: 2", "gte: 3").replace("Buyer", "Buyers"))
    assert published(told, file) == [
        "~ will change default/keen: rule; its members are computed anew",
        "      timezone: UTC",
        "      rule:",
        "        event: view",
        "    -   count: {gte: 2}",
        "    +   count: {gte: 3}",
        "        within: 1h",
        "~ will change default/buyer: name; holds at once, nobody enters or leaves",
        "      id: buyer",
        "    - name: Buyer",
        "    + name: Buyers",
        "      project: default",
        "      timezone: UTC",
        "      rule:",
        "will change 2",
        "changed default/keen, version 2",
        "changed default/buyer, version 2",
    ]


def test_pruning_deletes_what_the_files_lack_and_nothing_that_is_referred_to(
    told: Told, file: Path, tmp_path: Path
) -> None:
    published(told, file)
    (tmp_path / "vip.yaml").write_text(VIP)
    published(told, tmp_path / "vip.yaml")
    only_vip = ("apply", "--prune", "--yes", "--no-wait", "--no-estimate", str(tmp_path / "vip.yaml"))
    code, out, err = told(*only_vip)
    assert (code, out) == (2, [])
    assert err == [
        "--prune: audience 'keen' of project 'default' isn't in the files, but is part of the rule of 'vip': "
        "keep it, or change that first"
    ]
    assert len(told("list")[1]) == 4
    # The name of one that goes is free in the same step.
    file.write_text("{id: fan, name: Keen, rule: {event: view}}")
    (tmp_path / "vip.yaml").unlink()
    assert published(told, file, "--prune")[-5:] == [
        "will create 1, will delete 3",
        "created default/fan, version 1",
        "deleted default/buyer, version 2",
        "deleted default/keen, version 2",
        "deleted default/vip, version 2",
    ]
    file.write_text(TWO)
    assert "created default/keen, version 3" in published(told, file, "--prune")


def test_the_plan_is_there_as_json(told: Told, file: Path) -> None:
    code, out, _ = told("apply", "--dry-run", "--json", "--no-estimate", str(file))
    document = json.loads("\n".join(out))
    assert (code, document["dry_run"], document["differences"]) == (2, True, 2)
    document = json.loads("\n".join(published(told, file, "--json")))
    assert [(each["action"], each["version"]) for each in document["changes"]] == [
        ("create", 1),
        ("create", 1),
    ]


def test_it_says_when_no_worker_runs(told: Told, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.commands.authoring.audiences.following import follow

    monkeypatch.setattr(follow, "NO_WORKER_SECONDS", 1.0)
    code, _, err = told("apply", "--yes", "--no-estimate", str(file))
    assert code == 3
    assert err[-1].startswith("no worker runs (nobody is in the consumer group")
    assert told("apply", "--yes", "--no-estimate", "--wait", "0", str(file))[0] == 0


def test_what_was_published_is_listed_shown_and_its_versions_are(told: Told, file: Path) -> None:
    published(told, file)
    file.write_text(TWO.replace("gte: 2", "gte: 3"))
    published(told, file)
    file.write_text(TWO)
    published(told, file)
    assert told("list")[1] == [
        "project  id     version  state  size  history from  name",
        "default  buyer  1        -      -     -             Buyer",
        "default  keen   3        -      -     -             Keen",
    ]
    assert [each["id"] for each in json.loads("\n".join(told("list", "--json")[1]))] == ["buyer", "keen"]
    assert told("list", "--project", "none")[1] == ["no audience is published in project 'none'"]
    assert told("show", "keen")[1] == [
        "id: keen",
        "name: Keen",
        "project: default",
        "timezone: UTC",
        "rule:",
        "  event: view",
        "  count: {gte: 2}",
        "  within: 1h",
    ]
    assert "  count: {gte: 3}" in told("show", "keen", "--version", "2")[1]
    assert told("show", "keen", "--version", "9")[2] == [
        "audience 'keen' has no version 9; there are 1, 2, 3"
    ]
    assert told("show", "kene")[::2] == (
        2,
        ["there is no audience 'kene' in project 'default'; did you mean 'keen'? allowed: buyer, keen"],
    )
    lines = [line.split("  ") for line in told("versions", "keen")[1]]
    assert [[cell.strip() for cell in line if cell][::2] for line in lines[1:]] == [
        ["3", "ann", "-"],
        ["2", "ann", "-"],
        ["1", "ann", "-"],
    ]
    found = json.loads("\n".join(told("versions", "keen", "--json")[1]))
    assert [each["what"] for each in found] == ["rule, as version 1", "rule", "created"]


async def send(*users: str) -> None:
    """An event of each user, now, to the input topic."""
    settings = load_settings()
    (topic,) = plan_of(settings).events
    admin = new_admin(broker_of(settings))
    await admin.start()
    await create_topics(admin, {topic: (1, {})}, 1)
    await admin.close()
    async with new_producer(broker_of(settings), idempotence=False) as producer:
        for user in users:
            body = json.dumps({"user_id": user, "event": "view"}).encode()
            await producer.send_and_wait(topic, body, user.encode())


def test_the_plan_says_who_would_enter_and_leave(told: Told, file: Path) -> None:
    file.write_text("{id: keen, name: Keen, rule: {event: view}}")
    assert told("apply", "--dry-run", str(file))[1][0] == (
        "+ would create default/keen: nobody enters or leaves; 0 members before, 0 after"
    )
    asyncio.run(send("ann", "ann", "bob", "cid"))
    assert told("apply", "--dry-run", str(file))[1][0] == (
        "+ would create default/keen: 3 enter, nobody leaves; 0 members before, 3 after"
    )
    published(told, file)
    file.write_text(
        "audiences:\n  - {id: keen, name: Keen, rule: {event: view, count: {gte: 2}}}\n"
        "  - {id: cool, name: Cool, rule: {not: {audience: keen}}}\n"
    )
    _, out, err = told("apply", "--dry-run", "--exact", "--json", str(file))
    keen, cool = json.loads("\n".join(out))["changes"]
    assert (keen["effect"]["exits"]["users"], cool["effect"]["enters"]["users"]) == (2, 2), err
    told("apply", "--yes", "--no-wait", str(file))
    file.write_text("{id: keen, name: Keen, rule: {event: view}}")
    out = told("apply", "--dry-run", str(file))[1]
    assert out[-3] == ("  default/cool asks about these: nobody enters, 2 leave; 2 members before, 0 after")


def test_an_estimate_that_takes_too_long_is_left_out(
    told: Told, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "ESTIMATE_SECONDS", 0.0)
    code, out, err = told("apply", "--dry-run", str(file))
    assert (code, out[0]) == (2, "+ would create default/keen")
    assert "--exact computes it" in err[0]

"""``turnstile audiences members`` against two workers on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app import worker_client
from app.cli import cli
from app.commands.authoring.audiences import members
from tests.app.worker.partitions import USERS, Lab, lab


async def listed(stage: Lab, *arguments: str) -> Result:
    command = ["audiences", "members", *arguments, "--url", stage.urls[0]]
    return await asyncio.to_thread(CliRunner().invoke, cli, command)


async def test_all_pages_come_as_lines_for_people_and_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PAGE", 7)
    async with lab() as stage:
        stage.view(USERS)
        stage.view(["with\x1bescape"])
        text = (await listed(stage, "viewers")).stdout
        assert len(text.splitlines()) == 61
        assert "user-007  since 2023-11-14T22:13:20.000Z  not left by time alone" in text
        assert "with\\x1bescape" in text
        rows = [json.loads(line) for line in (await listed(stage, "brief", "--json")).stdout.splitlines()]
        assert {each["user_id"] for each in rows} == {*USERS, "with\x1bescape"}
        assert rows[0]["exit_at"] == "2023-11-14T22:13:30.000Z"


async def test_a_file_appears_when_all_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PAGE", 7)
    monkeypatch.setattr(worker_client, "WAIT_SECONDS", 0.0)
    file = tmp_path / "viewers.jsonl"
    async with lab() as stage:
        stage.view(USERS)
        stage.assign({0: 0, 1: 1, 2: 0})  # partition 3 is nobody's
        failed = await listed(stage, "viewers", "--out", str(file))
        assert failed.exit_code != 0
        assert not os.listdir(tmp_path)
        stage.assign({0: 0, 1: 1, 2: 0, 3: 0})
        done = await listed(stage, "viewers", "--out", str(file))
        assert done.exit_code == 0, done.output
    assert {json.loads(line)["user_id"] for line in file.read_text().splitlines()} == {*USERS}


async def test_a_listing_waits_while_partitions_move(monkeypatch: pytest.MonkeyPatch) -> None:
    async with lab() as stage:
        stage.view(USERS)
        stage.assign({0: 0, 1: 1, 2: 0})
        listing = asyncio.create_task(listed(stage, "viewers"))
        await asyncio.sleep(0.7)
        assert not listing.done()
        stage.assign({0: 0, 1: 1, 2: 0, 3: 1})
        assert len((await listing).stdout.splitlines()) == 60


async def test_an_unknown_audience_is_told_with_the_nearest_name() -> None:
    async with lab() as stage:
        failed = await listed(stage, "viewrs")
        assert failed.exit_code != 0
        assert "did you mean 'viewers'?" in str(failed.exception) + failed.output

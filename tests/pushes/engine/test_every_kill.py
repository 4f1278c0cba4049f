"""kill -9 after each request to a target and each note on the ledger: one list, and no other is told."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
from pathlib import Path

import asyncssh
import msgspec
from aiohttp import web

from app.kafka.embedded import end_process, start_tied
from tests.pushes.engine.carried import UNANSWERED, Asked, Ended, members_of
from tests.pushes.targets.sftp_server import PASSWORD, USER, sftp_server
from tests.stage.workers import environment

SECONDS = 400
DECIDED = {"create 1", "rename 2", "rename 3", "answer 1", UNANSWERED, "note 6"}
"""From here on no other list takes its place, whether it is on the disk or not."""
NOTHING_LISTED = "note 1"
LISTING = "note 2"
"""The list is being made, and isn't whole on the disk."""


class Told:
    """The notifications by run. Some processes are killed when they have sent theirs."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        run = json.loads(body)["run_id"]
        self.bodies.setdefault(run, []).append(body)
        if run.endswith(UNANSWERED) and len(self.bodies[run]) == 1:
            os.kill(int(request.headers["x-process"]), signal.SIGKILL)
        return web.Response()


async def test_a_kill_at_any_point_leaves_one_list_and_notifications_of_it_alone(tmp_path: Path) -> None:
    told = Told()
    app = web.Application()
    app.router.add_post("/lists", told.take)
    serving = web.AppRunner(app)
    await serving.setup()
    site = web.TCPSite(serving, "127.0.0.1", 0)
    await site.start()
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    root = tmp_path / "server"
    root.mkdir()
    try:
        async with sftp_server(root, host_key) as server:
            (_, port), *_ = serving.addresses
            asked = Asked(
                str(tmp_path),
                server.place.port,
                USER,
                PASSWORD,
                host_key.get_fingerprint(),
                f"http://127.0.0.1:{port}/lists",
            )
            (tmp_path / "asked").write_bytes(msgspec.json.encode(asked))
            await carried(tmp_path)
    finally:
        await serving.cleanup()
    ended = [msgspec.json.decode(line, type=Ended) for line in (tmp_path / "ended").read_bytes().splitlines()]
    died_at = [{each.died_at for each in ended if each.is_wiped is wiped} for wiped in (False, True)]
    assert died_at[0] == died_at[1] > DECIDED | {NOTHING_LISTED, LISTING, "write 1"}
    for each in ended:
        run = each.run
        assert run.state == "delivered", each
        is_lost = each.is_wiped and each.died_at not in DECIDED | {NOTHING_LISTED}
        assert run.lists == (2 if is_lost or each.died_at == LISTING else 1), each
        files = {found.name: found for found in (root / "lists" / run.id).iterdir()}
        success, manifest = (json.loads(files[name].read_bytes()) for name in ("_SUCCESS", "manifest.json"))
        assert success["list_id"] == manifest["list_id"] == run.list_id, each
        name = manifest["files"][0]["name"]
        assert [found for found in files if found.endswith(".csv")] == [name], each
        with files[name].open() as file:
            users = [line["user_id"] for line in csv.DictReader(file)]
        assert users == [member.user_id for member in members_of(run.lists)]
        assert len(set(told.bodies[run.id])) == 1, each
        assert json.loads(told.bodies[run.id][0])["list_id"] == run.list_id


async def carried(folder: Path) -> None:
    """All points one after another."""
    log = folder / "log"
    command = [sys.executable, "-m", "tests.pushes.engine.carried", str(folder / "asked")]
    process = start_tied(command, log, environment({}))
    try:
        async with asyncio.timeout(SECONDS):
            while process.poll() is None:
                await asyncio.sleep(0.02)
        assert process.returncode == 0, log.read_text()
    finally:
        end_process(process, 0)

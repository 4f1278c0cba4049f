"""Who leads sleeps or is killed: another one takes over when the session ends, and each run has one list."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import asyncssh

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from agents.pushes.runs import Run
from agents.registry.definitions import definition_record
from agents.registry.topic import publish
from tests.pushes.service.killed import ASLEEP
from tests.pushes.service.stage import DEFINITIONS, PushStage, environ_of, now_ms
from tests.pushes.targets.sftp_server import PASSWORD, Running, sftp_server
from tests.stage.forks import Forked, start_forked
from tests.stage.log import view
from tests.stage.receiver import Receiver, receiver
from tests.stage.scene import scene
from tests.stage.workers import environment

USERS = [f"user-{number}" for number in range(7)]
SESSION_MS = 2_000
SECRET = {"name": "password", "hosts": ["127.0.0.1"], "source": {"env": "SFTP_PASSWORD"}}
CONNECTIONS = """
connections:
- name: store
  kind: sftp
  sftp: {host: 127.0.0.1, port: %d, user: turnstile, password: {secret: password}, fingerprints: ['%s']}
- name: module
  kind: webhook
  webhook: {url: '%s'}
"""
PUSH = "{name: %s, audience: ever, connection: store, target: {folder: %s, notify: module}}"


async def test_a_process_that_slept_and_one_that_was_killed_leave_one_list_of_each_run(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    root = tmp_path / "server"
    root.mkdir()
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=1) as stage,
        sftp_server(root, host_key) as server,
        receiver() as module,
    ):
        await stage.define(DEFINITIONS)
        worker = stage.worker()
        worker.start()
        pushes = PushStage(stage, tmp_path / "pushes")
        await pushes.prepare()
        await connect(pushes, server, module)
        await worker.wait_ready()
        await stage.send(0, [view(user, now_ms()) for user in USERS])
        await stage.reach(len(USERS))
        processes = [start(pushes, "first", ASLEEP, "one")]
        try:
            await pushes.apply(PUSH % ("one", "one"))
            await stage.until(lambda: is_stopped(processes[0]), "it sleeps")
            (slept,) = (await pushes.ledger()).runs
            processes.append(start(pushes, "second"))
            one = await pushes.run_of("one")
            found = files_of(root, one)
            os.kill(processes[0].pid, signal.SIGCONT)
            processes[1].kill()
            await pushes.apply(PUSH % ("two", "two"))
            two = await pushes.run_of("two")
            assert processes[0].poll() is None
        finally:
            for each in processes:
                each.kill()
                each.wait()
        assert slept.state == "delivering"
        assert one.lists > slept.lists  # what the first process had on its disk is lost for the second one
        assert files_of(root, one) == found
        bodies = [body for _, body in module.requests]
        for run in (one, two):
            assert run.state == "delivered", run
            assert listed(files_of(root, run), run) == sorted(USERS)
            told = {body for body in bodies if json.loads(body)["run_id"] == run.id}
            assert [json.loads(body)["list_id"] for body in told] == [run.list_id]


async def connect(pushes: PushStage, server: Running, module: Receiver) -> None:
    """Publish the connections."""
    (fingerprint,) = server.place.fingerprints
    text = CONNECTIONS % (server.place.port, fingerprint, module.url)
    records = [
        definition_record(PublishedConnection(each, 1)) for each in load_connections([("c.yaml", text)])
    ]
    await publish(pushes.stage.producer, f"{pushes.stage.prefix}.connections", records)


def start(pushes: PushStage, name: str, *point: str) -> Forked:
    """A process with a disk of its own."""
    folder = pushes.folder / name
    changed = {
        "kafka.session_timeout_ms": SESSION_MS,
        "kafka.heartbeat_interval_ms": 300,
        "deliver.secrets": [SECRET],
        "deliver.allow_private": True,
    }
    variables = environment({**environ_of(pushes.stage, folder), **changed}) | {"SFTP_PASSWORD": PASSWORD}
    arguments = ["-m", "tests.pushes.service.killed", "beside", *point]
    return start_forked(arguments, pushes.stage.folder / f"{name}.log", variables)


def is_stopped(process: Forked) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def files_of(root: Path, run: Run) -> dict[str, bytes]:
    """Of the run's folder, without what nobody made whole."""
    folder = root / run.push / run.id
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.name[0] != "."}


def listed(files: dict[str, bytes], run: Run) -> list[str]:
    """The users in the one list of a run that says that it is whole."""
    assert json.loads(files["_SUCCESS"])["list_id"] == json.loads(files["manifest.json"])["list_id"]
    (name,) = (each for each in files if each.endswith(".csv"))
    assert name == f"{run.push}-{run.list_id}.csv"
    return sorted(line["user_id"] for line in csv.DictReader(files[name].decode().splitlines()))

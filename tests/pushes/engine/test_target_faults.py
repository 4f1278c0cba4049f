"""Runs to targets that are full or slow: one whole list in the end, or a run that says why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh

from agents.deliver.definitions.destination import RetryPolicy
from agents.pushes.contract.push import Push
from agents.pushes.runs import Run
from agents.pushes.targets.files import FilesTarget, Storage
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from agents.pushes.targets.sftp import SftpStorage
from tests.pushes.engine.test_runner import Lab
from tests.pushes.targets.sftp_server import Running, sftp_server
from tests.pushes.targets.strange_server import strange_server

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
PATIENT = RetryPolicy(for_ms=120_000, first_ms=1, most_ms=5)
WHOLE = {"p-r1-1.csv", "_DECIDED-r1-1", "manifest.json", "_SUCCESS"}


def lab_for(folder: Path) -> tuple[Lab, Run]:
    lab = Lab(folder)
    return lab, lab.spooled("r1", 20)


async def carried_out(lab: Lab, run: Run, storage: Callable[[], Storage], retry: RetryPolicy | None) -> Run:
    async def of(push: Push) -> FilesTarget:
        return FilesTarget(storage(), "lists")

    lab.targets.of = of  # type: ignore[method-assign]
    if retry is not None:
        lab.runner._retry = retry
    await asyncio.wait_for(lab.runner.run(run.id), 120)
    return lab.book.runs[run.id]


async def once_told(lab: Lab, run: Run, reason: str, mend: Callable[[], None]) -> None:
    """Mend the target when the run says what is wrong with it."""
    while reason not in lab.book.runs[run.id].reason:
        await asyncio.sleep(0.005)
    mend()


def files(server: Running) -> set[str]:
    return {each.name for each in server.root.rglob("*") if each.is_file()}


def test_a_server_that_is_full_for_a_while_gets_the_list_once(tmp_path: Path) -> None:
    lab, run = lab_for(tmp_path)

    async def scenario(server: Running) -> Run:
        server.faults.quota_bytes = 50

        def mend() -> None:
            server.faults.quota_bytes = None

        mending = asyncio.create_task(once_told(lab, run, "no space", mend))
        ended = await carried_out(lab, run, lambda: SftpStorage(server.place), PATIENT)
        await mending
        return ended

    ended, found = with_server(tmp_path, scenario)
    assert (ended.state, ended.rows, ended.attempts > 1, ended.reason) == ("delivered", 40, True, "")
    assert found == WHOLE


def test_a_server_that_stays_full_fails_the_run_and_shows_no_half_list(tmp_path: Path) -> None:
    lab, run = lab_for(tmp_path)

    async def scenario(server: Running) -> Run:
        server.faults.quota_bytes = 50
        return await carried_out(lab, run, lambda: SftpStorage(server.place), None)

    ended, found = with_server(tmp_path, scenario)
    assert (ended.state, ended.code) == ("failed", "unavailable")
    assert "the server couldn't: SFTPFailure: no space" in ended.reason
    assert found == set()


def test_a_server_that_does_not_answer_in_time_gets_the_list_once_later(tmp_path: Path) -> None:
    lab, run = lab_for(tmp_path)

    async def scenario(server: Running) -> Run:
        server.faults.seconds_a_write = 3.0
        places = [replace(server.place, timeout_s=0.5), server.place]

        def mend() -> None:
            server.faults.seconds_a_write = 0.0
            del places[0]

        mending = asyncio.create_task(once_told(lab, run, "didn't answer in time", mend))
        ended = await carried_out(lab, run, lambda: Patient(places), PATIENT)
        await mending
        return ended

    ended, found = with_server(tmp_path, scenario)
    assert (ended.state, ended.attempts > 1) == ("delivered", True)
    assert {each for each in found if not each.startswith(".")} == WHOLE


class Patient(SftpStorage):
    """A server whose limit of time changes: each connection has the first of the places."""

    def __init__(self, places: list[Any]) -> None:
        super().__init__(places[0])
        self._places = places

    async def _opened(self) -> asyncssh.SFTPClient:
        self._place = self._places[0]
        return await super()._opened()


def test_a_bucket_that_is_full_fails_the_run_and_says_so(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("agents.pushes.targets.object_store.RETRIES", 0)
    lab, run = lab_for(tmp_path)

    async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status, body = b"404 Not Found", b""
        if head.startswith((b"PUT", b"POST")):
            length = next(
                (int(line.split()[1]) for line in head.lower().splitlines() if b"length" in line), 0
            )
            await reader.readexactly(length)
            status, body = b"507 Insufficient Storage", b"<Error><Code>XMinioStorageFull</Code></Error>"
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
        writer.write(body)
        await writer.drain()

    async def scenario() -> Run:
        async with strange_server(full) as port:
            place = ObjectStorePlace(
                "s3",
                "b",
                "",
                f"http://127.0.0.1:{port}",
                "us-east-1",
                "key",
                "secret-key",
                allow_private=True,
            )
            return await carried_out(lab, run, lambda: ObjectStorage(place), None)

    ended = asyncio.run(scenario())
    assert (ended.state, ended.code) == ("failed", "unavailable")
    assert "507" in ended.reason
    assert "secret-key" not in ended.reason


def with_server(folder: Path, scenario: Callable[[Running], Any]) -> tuple[Run, set[str]]:
    """The run, and the files that are there at the end."""

    async def all_of_it() -> tuple[Run, set[str]]:
        root = folder / "server"
        root.mkdir()
        async with sftp_server(root, HOST_KEY) as server:
            ended: Run = await scenario(server)
            return ended, files(server)

    return asyncio.run(all_of_it())

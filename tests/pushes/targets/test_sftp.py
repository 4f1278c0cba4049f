"""Lists on an SFTP server over real sockets: whole or not there, whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.places import SftpPlace
from agents.pushes.targets.sftp import SftpStorage
from app.kafka.embedded import free_ports
from tests.pushes.targets.sftp_server import PASSWORD, Running, sftp_server
from tests.pushes.targets.spools import GZIPPED, members, no_progress, spooled
from tests.pushes.targets.strange_server import strange_server

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    root = tmp_path / "server"
    root.mkdir()
    async with sftp_server(root, HOST_KEY) as running:
        yield running


def target(place: SftpPlace) -> FilesTarget:
    return FilesTarget(SftpStorage(place), "daily")


def files(server: Running) -> dict[str, bytes]:
    root = server.root / "lists/daily/run-1"
    return {each.name: each.read_bytes() for each in root.iterdir()} if root.exists() else {}


async def refused(place: SftpPlace, tmp_path: Path) -> str:
    to = target(place)
    with pytest.raises(TargetRefused) as raised:
        await to.deliver(spooled(tmp_path), no_progress)
    await to.close()
    return str(raised.value)


async def unavailable(place: SftpPlace, tmp_path: Path) -> str:
    to = target(place)
    with pytest.raises(TargetUnavailable) as raised:
        await to.deliver(spooled(tmp_path), no_progress)
    await to.close()
    return str(raised.value)


async def test_a_list_lies_there_whole_with_its_manifest(server: Running, tmp_path: Path) -> None:
    seen: list[int] = []
    list_ = spooled(tmp_path)
    to = target(server.place)
    delivered = await to.deliver(list_, seen.append)
    await to.close()

    found = files(server)
    assert found.keys() == {"buyers-list-1.csv", "manifest.json", "_SUCCESS", "_DECIDED-list-1"}
    content = list_.header + b"".join(each.path.read_bytes() for each in list_.parts)
    assert found["buyers-list-1.csv"] == content
    assert (delivered.rows, delivered.bytes, seen[-1]) == (5, len(content), 5)
    port = server.place.port
    assert delivered.places == (f"sftp://127.0.0.1:{port}/lists/daily/run-1/buyers-list-1.csv",)
    manifest = json.loads(found["manifest.json"])
    assert manifest["files"] == [
        {"name": "buyers-list-1.csv", "rows": 5, "bytes": len(content), "sha256": delivered.checksum}
    ]
    assert manifest["columns"] == ["email", "encryption", "town"]
    assert manifest["ids"] == [
        {"type": "email", "called": "email", "encryption": "md5", "rows": 5, "without": 0}
    ]


async def test_no_file_has_its_final_name_before_it_is_whole(server: Running, tmp_path: Path) -> None:
    to = target(server.place)
    await to.deliver(spooled(tmp_path, parts=[members(5_000)]), no_progress)
    await to.close()

    shown = server.faults.shown
    during_the_list = [each for each in shown if not any("DECIDED" in name for name in each)]
    assert during_the_list
    assert not any("buyers-list-1.csv" in each for each in during_the_list)
    assert not any("_SUCCESS" in each for each in shown)


async def test_after_a_broken_connection_the_list_is_written_again(server: Running, tmp_path: Path) -> None:
    server.faults.drops_after_bytes = 100_000
    list_ = spooled(tmp_path, parts=[members(5_000)])
    to = target(server.place)
    with pytest.raises(TargetUnavailable):
        await to.deliver(list_, no_progress)
    assert not any(not each.startswith(".") for each in files(server))

    await to.deliver(list_, no_progress)
    await to.close()

    found = files(server)
    assert found.keys() == {"buyers-list-1.csv", "manifest.json", "_SUCCESS", "_DECIDED-list-1"}
    assert found["buyers-list-1.csv"] == list_.header + list_.parts[0].path.read_bytes()


async def test_a_list_that_is_there_is_not_written_again(server: Running, tmp_path: Path) -> None:
    list_ = spooled(tmp_path, GZIPPED)
    to = target(server.place)
    first = await to.deliver(list_, no_progress)
    written = server.faults.written
    assert await to.deliver(list_, no_progress) == first
    assert await to.find(list_.push, list_.run_id, list_.list_id) == first
    await to.close()

    assert server.faults.written == written
    assert gzip.decompress(files(server)["buyers-list-1.csv.gz"]).startswith(b"email,encryption,town\r\n")


async def test_a_list_that_was_given_up_never_becomes_whole(server: Running, tmp_path: Path) -> None:
    list_ = spooled(tmp_path)
    to = target(server.place)
    assert await to.find(list_.push, list_.run_id, list_.list_id) is None
    with pytest.raises(TargetRefused, match="gave this list up"):
        await to.deliver(list_, no_progress)
    assert files(server).keys() == {"_DECIDED-list-1"}
    began_anew = spooled(tmp_path, list_id="list-2")
    assert (await to.deliver(began_anew, no_progress)).list_id == "list-2"
    await to.close()


async def test_a_process_that_slept_before_the_list_appeared_finds_it_given_up(
    server: Running, tmp_path: Path
) -> None:
    asleep, goes_on = asyncio.Event(), asyncio.Event()

    async def sleeps() -> None:
        asleep.set()
        await goes_on.wait()

    slow, other = target(server.place), target(server.place)
    list_, new = spooled(tmp_path), spooled(tmp_path, parts=[members(2)], list_id="list-2")
    delivering = asyncio.create_task(slow.deliver(list_, no_progress, sleeps))
    await asyncio.wait_for(asleep.wait(), 60)
    assert await other.find(list_.push, list_.run_id, list_.list_id) is None
    await other.deliver(new, no_progress)
    before = files(server)
    goes_on.set()
    with pytest.raises(TargetRefused, match="gave this list up"):
        await delivering
    assert files(server) == before
    assert before.keys() == {
        "_DECIDED-list-1",
        "_DECIDED-list-2",
        "buyers-list-2.csv",
        "manifest.json",
        "_SUCCESS",
    }
    await slow.close()
    await other.close()


async def test_a_list_that_is_decided_is_finished_by_whoever_finds_it(
    server: Running, tmp_path: Path
) -> None:
    list_, to = spooled(tmp_path), target(server.place)
    delivered = await to.deliver(list_, no_progress)
    whole = files(server)
    for names in (["_SUCCESS"], ["_SUCCESS", "manifest.json"]):
        for name in names:
            (server.root / "lists/daily/run-1" / name).unlink()
        assert await to.find(list_.push, list_.run_id, list_.list_id) == delivered
        assert files(server) == whole
    await to.close()


@pytest.mark.parametrize("error", [asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPFailure])
async def test_of_several_that_decide_at_once_one_is_first(
    server: Running, error: type[asyncssh.SFTPError]
) -> None:
    server.faults.exists = error

    async def decide(data: bytes) -> bool:
        storage = SftpStorage(server.place)
        try:
            while True:  # whose unfinished file another one removed begins again
                with contextlib.suppress(TargetUnavailable):
                    return await storage.create("a/b", data)
        finally:
            await storage.close()

    contents = [b"%d" % at for at in range(4)]
    made = await asyncio.gather(*map(decide, contents))
    assert sum(made) == 1
    assert (server.root / "lists/a/b").read_bytes() == contents[made.index(True)]


async def test_a_server_without_posix_rename_gets_the_same_files(server: Running, tmp_path: Path) -> None:
    server.faults.has_posix_rename = False
    to = target(server.place)
    await to.deliver(spooled(tmp_path), no_progress)
    (server.root / "lists/daily/run-1/_SUCCESS").unlink()
    await to.deliver(spooled(tmp_path), no_progress)
    await to.close()
    assert files(server).keys() == {"buyers-list-1.csv", "manifest.json", "_SUCCESS", "_DECIDED-list-1"}


@pytest.mark.parametrize("full", [asyncssh.SFTPQuotaExceeded, asyncssh.SFTPFailure])
async def test_a_full_server_is_tried_again_and_keeps_no_half_file(
    server: Running, tmp_path: Path, full: type[asyncssh.SFTPError]
) -> None:
    server.faults.quota_bytes, server.faults.full = 50, full
    assert "no space" in await unavailable(server.place, tmp_path)
    assert files(server) == {}


async def test_a_server_that_refuses_is_told_by_name(server: Running, tmp_path: Path) -> None:
    server.faults.refuses_writes = True
    assert "not here" in await refused(server.place, tmp_path)


async def test_a_server_with_another_key_is_not_spoken_to(server: Running, tmp_path: Path) -> None:
    other = OTHER_KEY.get_fingerprint()
    told = await refused(replace(server.place, fingerprints=(other,)), tmp_path)
    assert told == "127.0.0.1 shows another key than those of the connection"
    told = await refused(replace(server.place, fingerprints=()), tmp_path)
    assert "isn't known" in told


async def test_a_host_key_as_in_known_hosts_is_enough(server: Running, tmp_path: Path) -> None:
    key = HOST_KEY.export_public_key().decode().strip()
    to = target(replace(server.place, fingerprints=(), host_keys=(key,)))
    await to.deliver(spooled(tmp_path), no_progress)
    await to.close()
    assert "_SUCCESS" in files(server)


async def test_a_wrong_password_is_told_without_it(server: Running, tmp_path: Path) -> None:
    told = await refused(replace(server.place, password="not-the-password"), tmp_path)
    assert "doesn't let turnstile in" in told
    assert "not-the-password" not in told + repr(server.place)
    assert PASSWORD not in repr(server.place)


async def test_private_addresses_are_refused_unless_allowed(server: Running, tmp_path: Path) -> None:
    told = await refused(replace(server.place, allow_private=False), tmp_path)
    assert "not an address of the public internet" in told


async def test_a_server_that_is_down_is_tried_again(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    place = SftpPlace("127.0.0.1", "x", port, fingerprints=("SHA256:x",), allow_private=True)
    assert f"no connection to 127.0.0.1:{port}" in await unavailable(place, tmp_path)


async def test_a_server_that_never_answers_is_given_up_for_now(server: Running, tmp_path: Path) -> None:
    async with strange_server() as port:
        told = await unavailable(replace(server.place, port=port, timeout_s=0.3), tmp_path)
    assert "no connection to 127.0.0.1: TimeoutError" in told

    server.faults.seconds_a_write = 1.5
    told = await unavailable(replace(server.place, timeout_s=0.5), tmp_path)
    assert "TimeoutError: the server didn't answer in time" in told
    assert not any(not each.startswith(".") for each in files(server))


async def test_a_slow_server_is_waited_for(server: Running, tmp_path: Path) -> None:
    server.faults.seconds_a_write = 0.05
    to = target(server.place)
    await to.deliver(spooled(tmp_path, parts=[members(5_000)]), no_progress)
    await to.close()
    assert "_SUCCESS" in files(server)


async def test_a_spool_that_changed_is_not_delivered(server: Running, tmp_path: Path) -> None:
    list_ = spooled(tmp_path)
    list_.parts[0].path.write_bytes(list_.parts[0].path.read_bytes()[::-1])
    to = target(server.place)
    with pytest.raises(TargetRefused, match="partition 0 isn't what was written"):
        await to.deliver(list_, no_progress)
    await to.close()
    assert files(server) == {}


async def test_a_push_to_kafka_makes_no_file(server: Running, tmp_path: Path) -> None:
    from agents.pushes.contract.push import Content, RowFormat

    to = target(server.place)
    with pytest.raises(TargetRefused, match="allowed: csv, jsonl"):
        await to.deliver(spooled(tmp_path, Content(format=RowFormat("kafka"))), no_progress)
    await to.close()

"""Lists in an object store: a real S3 server, obstore's client."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import obstore
import pytest

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from app.kafka.embedded import free_ports
from tests.app.imports.s3 import MISSING, s3_server
from tests.pushes.targets.spools import GZIPPED, members, no_progress, spooled
from tests.pushes.targets.strange_server import strange_server

BUCKET = "lists"
SECRET = "hush-hush"
GZIPPED_FILES = {"buyers-list-1.csv.gz", "_DECIDED-list-1", "manifest.json", "_SUCCESS"}


@pytest.fixture(scope="module")
def s3() -> Iterator[ObjectStorePlace]:
    if MISSING:
        pytest.skip(MISSING)
    with s3_server(BUCKET) as environment:
        yield ObjectStorePlace(
            "s3",
            BUCKET,
            "pushes",
            environment["AWS_ENDPOINT_URL"],
            environment["AWS_REGION"],
            environment["AWS_ACCESS_KEY_ID"],
            SECRET,
            allow_private=True,
        )


@pytest.fixture
def place(s3: ObjectStorePlace, request: pytest.FixtureRequest) -> ObjectStorePlace:
    return replace(s3, folder=f"pushes/{request.node.name}")


def target(place: ObjectStorePlace) -> FilesTarget:
    return FilesTarget(ObjectStorage(place), "daily")


async def names(place: ObjectStorePlace) -> set[str]:
    store = await ObjectStorage(place)._opened()
    found = await obstore.list(store, prefix=place.folder).collect_async()
    return {each["path"].rpartition("/")[2] for each in found}


async def test_a_list_lies_in_the_bucket_with_its_manifest(place: ObjectStorePlace, tmp_path: Path) -> None:
    list_ = spooled(tmp_path, GZIPPED)
    to = target(place)
    delivered = await to.deliver(list_, no_progress)

    assert await names(place) == GZIPPED_FILES
    storage = ObjectStorage(place)
    packed = await storage.get("daily/run-1/buyers-list-1.csv.gz")
    assert packed is not None
    content = list_.header + b"".join(each.path.read_bytes() for each in list_.parts)
    assert gzip.decompress(packed) == content
    manifest = json.loads(await storage.get("daily/run-1/manifest.json") or b"")
    assert (manifest["rows"], manifest["files"][0]["sha256"]) == (5, delivered.checksum)
    assert delivered.places == (f"s3://lists/{place.folder}/daily/run-1/buyers-list-1.csv.gz",)
    assert await to.find(list_.push, list_.run_id, list_.list_id) == delivered


async def test_the_same_list_gives_the_same_bytes(place: ObjectStorePlace, tmp_path: Path) -> None:
    list_ = spooled(tmp_path, GZIPPED)
    here = replace(place, scheme="file", bucket=str(tmp_path / "files"), folder="")
    first, second = (
        await target(place).deliver(list_, no_progress),
        await target(here).deliver(list_, no_progress),
    )
    assert (first.checksum, first.rows) == (second.checksum, second.rows)
    run = tmp_path / "files/daily/run-1"
    assert {each.name for each in run.iterdir()} == {
        "buyers-list-1.csv.gz",
        "manifest.json",
        "_SUCCESS",
        "_DECIDED-list-1",
    }
    manifest = await ObjectStorage(place).get("daily/run-1/manifest.json")
    assert (run / "manifest.json").read_bytes() == manifest


async def test_an_upload_that_is_cut_off_leaves_no_file(place: ObjectStorePlace, tmp_path: Path) -> None:
    storage = ObjectStorage(place)
    half_way, goes_on = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x" * (9 << 20)
        half_way.set()
        goes_on.wait(60)
        yield b"y" * (9 << 20)

    writing = asyncio.create_task(storage.put("cut", pieces))
    await asyncio.to_thread(half_way.wait, 60)
    writing.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await names(place) == set()

    list_ = spooled(tmp_path, parts=[members(2_000)])
    list_.parts[0].path.write_bytes(list_.parts[0].path.read_bytes()[::-1])
    with pytest.raises(TargetRefused, match="isn't what was written"):
        await target(place).deliver(list_, no_progress)
    assert await names(place) == set()


@pytest.mark.parametrize("scheme", ["s3", "file"])
async def test_of_several_that_decide_at_once_one_is_first(
    place: ObjectStorePlace, tmp_path: Path, scheme: Literal["s3", "file"]
) -> None:
    if scheme == "file":
        place = replace(place, scheme="file", bucket=str(tmp_path), folder="")
    contents = [b"%d" % at for at in range(8)]
    made = await asyncio.gather(*(ObjectStorage(place).create("a/b", each) for each in contents))
    assert sum(made) == 1
    assert await ObjectStorage(place).get("a/b") == contents[made.index(True)]


async def test_a_store_without_writes_under_a_condition_is_asked_before(
    place: ObjectStorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.pushes.targets.object_store.RETRIES", 0)
    asked: list[tuple[bytes, bool]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        has_condition = b"if-none-match" in head.lower()
        asked.append((head.split()[0], has_condition))
        length = next((int(line.split()[1]) for line in head.lower().splitlines() if b"length" in line), 0)
        await reader.readexactly(length)
        status, body = b"200 OK", b""
        if head.startswith(b"GET"):
            status = b"404 Not Found"
        elif has_condition:
            status, body = b"501 Not Implemented", b"<Error><Code>NotImplemented</Code></Error>"
        writer.write(b"HTTP/1.1 %b\r\nETag: 1\r\nConnection: close\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with strange_server(answer) as port:
        old = replace(place, endpoint=f"http://127.0.0.1:{port}")
        assert await ObjectStorage(old).create("a/b", b"x")
    assert asked == [(b"GET", False), (b"PUT", True), (b"PUT", False)]


async def test_a_bucket_that_is_not_there_is_told_without_secrets(
    place: ObjectStorePlace, tmp_path: Path
) -> None:
    with pytest.raises(TargetRefused, match="the bucket isn't there") as raised:
        await target(replace(place, bucket="other")).deliver(spooled(tmp_path), no_progress)
    assert SECRET not in str(raised.value) + repr(place)


async def test_private_endpoints_are_refused_unless_allowed(place: ObjectStorePlace, tmp_path: Path) -> None:
    closed = replace(place, allow_private=False)
    with pytest.raises(TargetRefused, match="not an address of the public internet"):
        await target(closed).deliver(spooled(tmp_path), no_progress)


async def test_metadata_services_of_clouds_are_always_refused(
    place: ObjectStorePlace, tmp_path: Path
) -> None:
    there = replace(place, endpoint="http://169.254.169.254")
    with pytest.raises(TargetRefused, match="never allowed"):
        await target(there).deliver(spooled(tmp_path), no_progress)


async def test_a_store_that_is_down_is_tried_again(
    place: ObjectStorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.pushes.targets.object_store.RETRIES", 0)
    (port,) = free_ports(1)
    away = replace(place, endpoint=f"http://127.0.0.1:{port}")
    with pytest.raises(TargetUnavailable) as raised:
        await target(away).deliver(spooled(tmp_path), no_progress)
    assert SECRET not in str(raised.value)


async def test_a_store_that_never_answers_is_given_up_for_now(
    place: ObjectStorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.pushes.targets.object_store.RETRIES", 0)

    async with strange_server() as port:
        slow = replace(place, endpoint=f"http://127.0.0.1:{port}", timeout_s=0.3)
        with pytest.raises(TargetUnavailable):
            await target(slow).deliver(spooled(tmp_path), no_progress)


@pytest.mark.parametrize("endpoint", ["ftp://x", "nonsense", "http://"])
async def test_an_endpoint_that_is_no_address_is_refused(
    place: ObjectStorePlace, tmp_path: Path, endpoint: str
) -> None:
    with pytest.raises(TargetRefused, match="begins with http"):
        await target(replace(place, endpoint=endpoint)).deliver(spooled(tmp_path), no_progress)


async def test_tokens_of_our_own_environment_do_not_go_along(
    place: ObjectStorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-this-process")
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with strange_server(answer) as port:
        storage = ObjectStorage(replace(place, endpoint=f"http://127.0.0.1:{port}"))
        assert await storage.get("nothing") is None
    assert b"Credential=key/" in seen[0]
    assert b"token-of-this-process" not in seen[0]


async def test_a_test_of_a_store_writes_a_file_and_removes_it(place: ObjectStorePlace) -> None:
    await ObjectStorage(place).probe()
    assert await names(place) == set()
    with pytest.raises(TargetRefused, match="the bucket isn't there"):
        await ObjectStorage(replace(place, bucket="other")).probe()

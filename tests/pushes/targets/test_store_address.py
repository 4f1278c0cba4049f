"""The client of an object store connects to addresses that were checked, and to no others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from tests.app.imports.s3 import MISSING, s3_server
from tests.certificates import Authority
from tests.pushes.targets.spools import no_progress, spooled
from tests.pushes.targets.strange_server import strange_server

BUCKET = "lists"
PLACE = ObjectStorePlace("s3", BUCKET, "pushes", key_id="key", key="hush-hush", allow_private=True)
FOUND = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: x\r\nConnection: close\r\n"
    b"Last-Modified: Mon, 02 Jan 2023 00:00:00 GMT\r\n\r\nhi"
)


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    if MISSING:
        pytest.skip(MISSING)
    with s3_server(BUCKET) as environment:
        yield int(environment["AWS_ENDPOINT_URL"].rpartition(":")[2])


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names that no name server knows: who resolves one of them by itself finds nothing."""
    known: dict[str, list[str]] = {}
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def resolved(host: Any, port: Any, **options: Any) -> Any:
        if host not in known:
            return await resolve(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known[host]]

    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    monkeypatch.setattr("agents.pushes.targets.object_store.RETRIES", 0)
    return known


async def test_a_name_is_resolved_once_so_what_was_checked_is_what_is_dialled(
    s3_port: int, names: dict[str, list[str]], tmp_path: Path
) -> None:
    names["localhost.store.invalid"] = ["127.0.0.1"]  # the server takes other names for those of buckets
    place = replace(PLACE, endpoint=f"http://localhost.store.invalid:{s3_port}")
    list_, to = spooled(tmp_path), FilesTarget(ObjectStorage(place), "daily")
    delivered = await to.deliver(list_, no_progress)
    assert await to.find(list_.push, list_.run_id, list_.list_id) == delivered

    names["localhost.store.invalid"] = ["169.254.169.254"]
    with pytest.raises(TargetRefused, match="never allowed"):
        await to.find(list_.push, list_.run_id, list_.list_id)


async def test_a_bucket_may_be_part_of_the_name_as_alibaba_oss_wants_it(
    s3_port: int, names: dict[str, list[str]], tmp_path: Path
) -> None:
    names["lists.oss-cn-hangzhou.invalid"] = ["127.0.0.1"]
    place = replace(
        PLACE,
        folder="oss",
        endpoint=f"http://oss-cn-hangzhou.invalid:{s3_port}",
        region="oss-cn-hangzhou",
        path_style=False,
    )
    await FilesTarget(ObjectStorage(place), "daily").deliver(spooled(tmp_path), no_progress)

    by_path = replace(PLACE, endpoint=f"http://127.0.0.1:{s3_port}")
    store = await ObjectStorage(by_path)._opened()
    found = await obstore.list(store, prefix="oss").collect_async()
    assert {each["path"].rpartition("/")[2] for each in found} == {
        "buyers-list-1.csv",
        "manifest.json",
        "_DECIDED-list-1",
        "_SUCCESS",
    }


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (replace(PLACE, scheme="az", key_id="127.0.0.1:1/x"), "the storage account isn't one"),
        (replace(PLACE, scheme="az", key_id="a@evil"), "the storage account isn't one"),
        (replace(PLACE, region="x@evil.example/"), "the region isn't one"),
    ],
)
async def test_an_account_or_a_region_cannot_lead_to_another_host(place: ObjectStorePlace, told: str) -> None:
    with pytest.raises(TargetRefused, match=told):
        await ObjectStorage(place).get("x")


async def found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(FOUND)
    await writer.drain()


async def test_an_address_that_is_down_is_followed_by_the_next(names: dict[str, list[str]]) -> None:
    async with strange_server(found) as port:
        names["store.invalid"] = ["127.0.0.2", "127.0.0.1"]  # the server listens at the second alone
        storage = ObjectStorage(replace(PLACE, endpoint=f"http://store.invalid:{port}"))
        with pytest.raises(TargetUnavailable):
            await storage.get("x")
        assert await storage.get("x") == b"hi"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of servers that the client trusts as localhost and as 127.0.0.1."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(tmp_path, "localhost", "127.0.0.1"))
    return context


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_redirect_leads_nowhere_else(
    scheme: str, names: dict[str, list[str]], tls: ssl.SSLContext
) -> None:
    names["localhost"] = ["127.0.0.1"]
    seen: list[bytes] = []
    context = tls if scheme == "https" else None

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(b"a request")
        await found(reader, writer)

    async with strange_server(elsewhere, context) as other:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 307 Temporary\r\nLocation: {scheme}://127.0.0.1:{other}/secrets\r\n"
            writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()

        async with strange_server(redirect, context) as port:
            storage = ObjectStorage(replace(PLACE, endpoint=f"{scheme}://localhost:{port}"))
            with pytest.raises(TargetUnavailable):
                await storage.get("x")
        assert seen == []
        there = ObjectStorage(replace(PLACE, endpoint=f"{scheme}://localhost:{other}"))
        assert await there.get("x") == b"hi"


async def test_a_server_without_a_certificate_for_the_name_gets_no_request(
    names: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(tmp_path, "store.example"))
    seen: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1))

    async with strange_server(other, context) as port:
        storage = ObjectStorage(replace(PLACE, endpoint=f"https://localhost:{port}"))
        with pytest.raises(TargetUnavailable):
            await storage.get("x")
    assert b"".join(seen) == b""

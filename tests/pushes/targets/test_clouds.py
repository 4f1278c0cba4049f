"""Lists in Azure Blob Storage and Google Cloud Storage, over real sockets, by obstore's clients.

Azure's server is Azurite. Google's uploads in parts follow S3's protocol (its XML API), which none of the
servers that pass for it speaks, so the S3 server stands in: it takes Google's tokens as it takes any.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agents.pushes.contract.target import TargetRefused
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace
from tests.app.imports.s3 import MISSING as NO_S3
from tests.app.imports.s3 import s3_server
from tests.pushes.targets.azurite.azurite import ACCOUNT, KEY, azurite
from tests.pushes.targets.azurite.azurite import MISSING as NO_AZURE
from tests.pushes.targets.spools import members, no_progress, spooled
from tests.pushes.targets.strange_server import strange_server
from tests.pushes.targets.test_object_store import names

CONTAINER = "lists"
MIB = 1 << 20


def service_account() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "private_key": pem.decode(), "private_key_id": "1"}
    return json.dumps({**account, "client_email": "turnstile@lists.example"})


@pytest.fixture(scope="module", params=["az", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[ObjectStorePlace]:
    if missing := {"az": NO_AZURE, "gs": NO_S3}[request.param]:
        pytest.skip(missing)
    if request.param == "az":
        with azurite(CONTAINER) as endpoint:
            yield ObjectStorePlace(
                "az", CONTAINER, endpoint=endpoint, key_id=ACCOUNT, key=KEY, allow_private=True
            )
        return
    with s3_server(CONTAINER) as environment:
        endpoint = environment["AWS_ENDPOINT_URL"]
        yield ObjectStorePlace("gs", CONTAINER, endpoint=endpoint, key=service_account(), allow_private=True)


@pytest.fixture
def place(store: ObjectStorePlace, request: pytest.FixtureRequest) -> ObjectStorePlace:
    return replace(store, folder=f"pushes/{request.node.name.partition('[')[0]}")


async def test_a_list_lies_in_the_store_with_its_manifest(place: ObjectStorePlace, tmp_path: Path) -> None:
    list_, to = spooled(tmp_path), FilesTarget(ObjectStorage(place), "daily")
    delivered = await to.deliver(list_, no_progress)
    assert await to.deliver(list_, no_progress) == delivered
    assert await to.find(list_.push, list_.run_id, list_.list_id) == delivered

    assert await names(place) == {"buyers-list-1.csv", "_DECIDED-list-1", "manifest.json", "_SUCCESS"}
    content = list_.header + b"".join(each.path.read_bytes() for each in list_.parts)
    assert await ObjectStorage(place).get("daily/run-1/buyers-list-1.csv") == content
    assert delivered.places == (f"{place.scheme}://lists/{place.folder}/daily/run-1/buyers-list-1.csv",)


async def test_a_file_of_several_parts_arrives_as_it_was(place: ObjectStorePlace) -> None:
    pieces = [bytes([at]) * MIB for at in range(19)]  # uploaded in parts of 8 MiB
    storage = ObjectStorage(place)
    await storage.put("large", lambda: iter(pieces))
    assert await storage.get("large") == b"".join(pieces)


async def test_an_upload_that_is_cut_off_leaves_no_file(place: ObjectStorePlace, tmp_path: Path) -> None:
    storage = ObjectStorage(place)
    half_way, goes_on = threading.Event(), threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x" * 9 * MIB
        half_way.set()
        goes_on.wait(60)
        yield b"y" * 9 * MIB

    writing = asyncio.create_task(storage.put("cut", pieces))
    await asyncio.to_thread(half_way.wait, 60)
    writing.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await storage.get("cut") is None


async def test_a_list_that_was_given_up_never_becomes_whole(place: ObjectStorePlace, tmp_path: Path) -> None:
    list_, to = spooled(tmp_path, parts=[members(1)]), FilesTarget(ObjectStorage(place), "daily")
    assert await to.find(list_.push, list_.run_id, list_.list_id) is None
    with pytest.raises(TargetRefused, match="gave this list up"):
        await to.deliver(list_, no_progress)
    assert "_SUCCESS" not in await names(place)


@pytest.mark.parametrize("store", ["az"], indirect=True)
async def test_of_several_that_decide_at_once_one_is_first(place: ObjectStorePlace) -> None:
    contents = [b"%d" % at for at in range(8)]
    made = await asyncio.gather(*(ObjectStorage(place).create("a/b", each) for each in contents))
    assert sum(made) == 1
    assert await ObjectStorage(place).get("a/b") == contents[made.index(True)]


async def test_a_container_that_is_not_there_is_told_without_secrets(place: ObjectStorePlace) -> None:
    assert place.key is not None
    with pytest.raises(TargetRefused, match="the bucket isn't there") as raised:
        await ObjectStorage(replace(place, bucket="other")).probe()
    assert place.key not in str(raised.value) + repr(place)
    await ObjectStorage(place).probe()
    assert await names(place) == set()


@pytest.mark.parametrize("store", ["az"], indirect=True)
async def test_another_key_of_azure_is_refused_without_telling_it(
    store: ObjectStorePlace,
) -> None:
    other = base64.b64encode(b"another key of the account").decode()
    with pytest.raises(TargetRefused, match="doesn't let us") as raised:
        await ObjectStorage(replace(store, key=other)).probe()
    assert other not in str(raised.value)


async def test_google_is_shown_a_token_that_the_key_signed_and_not_the_key() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with strange_server(answer) as port:
        place = ObjectStorePlace(
            "gs", CONTAINER, endpoint=f"http://127.0.0.1:{port}", key=service_account(), allow_private=True
        )
        assert await ObjectStorage(place).get("nothing") is None
    (token,) = [line.split()[2] for line in seen[0].splitlines() if line.startswith(b"authorization: ")]
    claims = json.loads(base64.urlsafe_b64decode(token.split(b".")[1] + b"=="))
    assert claims["iss"] == "turnstile@lists.example"
    assert b"PRIVATE" not in seen[0]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ('{"gcs_base_url": "http://169.254.169.254"}', "may not say 'gcs_base_url'"),
        ("hush-hush", "isn't the JSON of a service account"),
        ('{"private_key": "hush-hush"}', "the store's settings can't be used"),
    ],
)
async def test_a_key_of_google_that_cannot_be_used_is_refused_without_telling_it(key: str, told: str) -> None:
    place = ObjectStorePlace("gs", CONTAINER, endpoint="http://127.0.0.1:1", key=key, allow_private=True)
    with pytest.raises(TargetRefused, match=told) as raised:
        await ObjectStorage(place).get("x")
    assert "hush-hush" not in str(raised.value)

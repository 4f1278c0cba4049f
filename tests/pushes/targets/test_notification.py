"""A module is told that its list is there, with the same content each time, and confirms it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.confirmation import confirmation_token, is_confirmation
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace, Receiver
from app.kafka.embedded import free_ports
from tests.pushes.targets.spools import no_progress, spooled

SIGNING = "whsec_" + "c2VjcmV0LW9mLXRoZS1tb2R1bGU="
CALLBACKS = "secret-for-callbacks"


@dataclass
class Module:
    """A receiver. ``answers``: status codes in order; then 200."""

    receiver: Receiver
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
async def module() -> AsyncIterator[Module]:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/lists"
    headers = {"authorization": "Bearer of-the-module"}
    made = Module(
        Receiver(url, headers, SIGNING, "https://us.example/confirm", CALLBACKS, allow_private=True)
    )

    async def take(request: web.Request) -> web.Response:
        made.got.append(({key.lower(): each for key, each in request.headers.items()}, await request.read()))
        return web.Response(status=made.answers.pop(0) if made.answers else 200, text="of-the-module said")

    app = web.Application()
    app.router.add_post("/lists", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield made
    await runner.cleanup()


def target(receiver: Receiver, folder: Path) -> FilesTarget:
    def mask(text: str) -> str:
        return text.replace("of-the-module", "***")

    storage = ObjectStorage(ObjectStorePlace("file", str(folder)))
    return FilesTarget(storage, "daily", "module", Notifier(receiver, mask))


async def test_a_module_is_told_the_place_the_counts_and_the_checksum(module: Module, tmp_path: Path) -> None:
    delivered = await target(module.receiver, tmp_path / "s").deliver(spooled(tmp_path), no_progress)

    ((headers, body),) = module.got
    told = Webhook(SIGNING).verify(body.decode(), headers)
    assert told == json.loads(body)
    assert (told["run_id"], told["list_id"], told["rows"]) == ("run-1", "list-1", 5)
    assert told["rows_by_id"] == {"email": 5}
    assert told["files"][0]["sha256"] == delivered.checksum
    assert told["urls"] == list(delivered.places)
    assert told["place"] == f"file://{tmp_path / 's'}/daily/run-1/"
    assert told["callback"]["url"] == "https://us.example/confirm/run-1/list-1"
    assert is_confirmation(CALLBACKS, "run-1", "list-1", told["callback"]["token"])
    assert headers["webhook-id"] == "list-1"
    assert headers["authorization"] == "Bearer of-the-module"
    assert not delivered.is_confirmed


async def test_a_module_that_was_down_is_told_the_same_later(module: Module, tmp_path: Path) -> None:
    module.answers = [503, 200, 200]
    list_, to = spooled(tmp_path), target(module.receiver, tmp_path / "s")
    with pytest.raises(TargetUnavailable, match="http_503: the receiver answered 503: \\*\\*\\* said"):
        await to.deliver(list_, no_progress)
    await to.deliver(list_, no_progress)
    await to.find(list_.push, list_.run_id, list_.list_id)

    assert len(module.got) == 3
    assert len({body for _, body in module.got}) == 1
    assert {headers["webhook-id"] for headers, _ in module.got} == {"list-1"}


async def test_a_module_that_refuses_fails_the_run_and_says_why(module: Module, tmp_path: Path) -> None:
    module.answers = [410]
    with pytest.raises(TargetRefused, match="the list is there, its receiver isn't told: http_410"):
        await target(module.receiver, tmp_path / "s").deliver(spooled(tmp_path), no_progress)


async def test_a_module_at_a_private_address_is_told_only_where_that_is_allowed(
    module: Module, tmp_path: Path
) -> None:
    closed = replace(module.receiver, allow_private=False)
    with pytest.raises(TargetUnavailable, match="address_not_allowed"):
        await target(closed, tmp_path / "s").deliver(spooled(tmp_path), no_progress)
    assert module.got == []


def test_a_signing_secret_that_is_none_is_told_without_it() -> None:
    with pytest.raises(TargetRefused) as raised:
        Notifier(Receiver("https://x.example", signing_secret="not-base64-!"))
    assert "not-base64" not in str(raised.value)
    assert "not-base64" not in repr(Receiver("https://x.example", signing_secret="not-base64-!"))


def test_a_token_confirms_its_own_list_alone() -> None:
    token = confirmation_token("s", "run", "list")
    assert is_confirmation("s", "run", "list", token)
    assert not is_confirmation("s", "run", "other", token)
    assert not is_confirmation("s", "runl", "ist", token)
    assert not is_confirmation("other", "run", "list", token)
    assert not is_confirmation("s", "run", "list", "\ud800é")

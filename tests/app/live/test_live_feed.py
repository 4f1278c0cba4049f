"""The live feed over a real broker: nothing lost, nothing twice, and an end that says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.live import routes
from app.live.places import Places
from tests.app.http.lab import ask, digest
from tests.app.live.lab import FEED, Event, LiveLab, follow, live_lab, some, transition


@pytest.fixture
async def lab(broker: str, topic_prefix: str) -> AsyncIterator[LiveLab]:
    async with live_lab(broker, topic_prefix, Places(most_of_a_key=1)) as made:
        yield made


def ids(found: list[Event]) -> list[str]:
    return sorted(each.body["id"] for each in found)


async def test_a_client_that_comes_again_misses_nothing_and_gets_nothing_twice(lab: LiveLab) -> None:
    await lab.write(transition(-1))
    async with follow(lab.base.url) as found:
        assert (await ask(lab.base.url, FEED))[0] == 429, "a key has one place here"
        # What isn't ours, or another's audience, is passed by.
        await lab.write(b"no JSON", transition(100, "others"), transition(101, project="shop"))
        await lab.write(*(transition(number) for number in range(7)))
        first = await some(found, 4)
    await lab.write(*(transition(number) for number in range(7, 12)))

    async def is_free() -> None:
        while lab.feeds._places.taken:
            await asyncio.sleep(0.05)

    await asyncio.wait_for(is_free(), 30)
    async with follow(lab.base.url, first[-1].id) as found:
        second = await some(found, 8)
    assert ids(first + second) == sorted(f"t{number}" for number in range(12))


async def test_without_an_id_it_begins_now_and_heartbeats_bring_one(
    lab: LiveLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_SECONDS", 0.0)
    await lab.write(*(transition(number) for number in range(5)))
    async with follow(lab.base.url) as found:
        await lab.write(transition(50, "others"))
        async with asyncio.timeout(60):
            while sum(map(int, (await anext(found)).id.split("."))) != 6:
                pass
        await lab.write(transition(6))
        assert ids(await some(found, 1)) == ["t6"]


async def test_a_client_that_does_not_read_is_cut_with_the_reason(lab: LiveLab) -> None:
    request = f"GET {FEED} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(lab.base.url.rsplit(":", 1)[1]), limit=1024
    )
    writer.write(request)
    await reader.readuntil(b"\n\n")  # the first heartbeat

    def cuts() -> float | None:
        return lab.registry.get_sample_value("turnstile_live_feeds_cut_total", {"reason": "slow"})

    for _ in range(60):
        await lab.write(*(transition(number, pad=600_000) for number in range(3)))
        if cuts():
            break
    async with asyncio.timeout(60):
        while cuts() != 1:  # the feed may be behind what was written
            await asyncio.sleep(0.02)
    text = b""
    while more := await asyncio.wait_for(reader.read(1 << 20), 30):
        text = (text + more)[-2000:]
    assert b'event: end\ndata: {"reason":"slow","detail":"nothing was read for' in text
    writer.close()


async def test_it_ends_when_the_key_is_revoked_or_the_process_stops_and_says_so(
    broker: str, topic_prefix: str
) -> None:
    async with live_lab(broker, topic_prefix) as lab:
        lab.publish("reader", "lookup", projects=["default"])
        lab.publish("writer", "audiences", projects=["default"])
        assert (await ask(lab.base.url, FEED))[0] == 401
        assert (await ask(lab.base.url, FEED, api_key="writer"))[0] == 403
        assert (await ask(lab.base.url, FEED + "?project=shop", api_key="reader"))[0] == 403
        assert (await ask(lab.base.url, "/v1/audiences/fens/transitions", api_key="reader"))[0] == 404
        assert (await ask(lab.base.url, FEED, api_key="reader", Last_Event_ID="99.0.0"))[0] == 410
        assert (await ask(lab.base.url, FEED, "HEAD", api_key="reader"))[0] == 200
        lab.publish("other", "lookup", projects=["default"])
        async with (
            follow(lab.base.url, api_key="reader") as revoked,
            follow(lab.base.url, api_key="other") as kept,
        ):
            lab.publish("reader", "lookup", projects=["default"], revoked=True)
            (end,) = await some(revoked, 1)
            assert (end.name, end.body["reason"]) == ("end", "key")
            assert digest("reader") not in str(end.body)
            await lab.write(transition(1))
            assert ids(await some(kept, 1)) == ["t1"]
            lab.feeds.close()
            (end,) = await some(kept, 1)
            assert (end.name, end.body["reason"]) == ("end", "stopping")

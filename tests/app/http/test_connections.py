"""Clients that stop in the middle, send nonsense, or don't read; others and the probes are answered."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

import app.http.connections as connections
from app.http.listen import CONNECTIONS_FULL
from tests.app.http.lab import LARGE_BYTES, Lab, api_key, ask, lab, port_of, talk
from tests.stage.workers import until

HALF = b"GET /v1/users/ann HTTP/1.1\r\nHost: 127.0.0.1\r\n"
Opened = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@asynccontextmanager
async def opened(url: str, number: int, sent: bytes) -> AsyncIterator[Opened]:
    made: Opened = []
    try:
        for _ in range(number):
            made.append(await asyncio.open_connection("127.0.0.1", port_of(url)))
            made[-1][1].write(sent)
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()


@pytest.mark.parametrize("sent", [HALF, b"", b"G", HALF + b"x: y"])
async def test_1100_half_sent_requests_take_nobody_down(sent: bytes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        async with lab() as made:
            for url in (made.base.url, made.base.probe_url):
                async with opened(url, 1100, sent):
                    for each, target in (
                        (made.base.url, "/v1/users/ann"),
                        (made.base.url, "/readyz"),
                        (made.base.probe_url, "/livez"),
                        (made.base.probe_url, "/metrics"),
                    ):
                        assert (await ask(each, target))[0] == 200
            assert CONNECTIONS_FULL in {each.code for each in made.warnings.active()}
            await until(lambda: not made.warnings.active(), "there is room again", 30)
            assert made.warnings.totals[CONNECTIONS_FULL] > 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_there_are_far_fewer_connections_than_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for files, most in ((256, 64), (1024, 256), (4096, 1000)):
            if files <= hard:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
                assert connections.FOR_ALL.connections == most
                assert connections.FOR_PROBES.connections == min(64, files // 16)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limit(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    limits = connections.ConnectionLimits(
        4, header_seconds=seconds, idle_seconds=seconds, unread_seconds=seconds
    )
    monkeypatch.setattr("app.http.listen.ConnectionLimits", lambda _: limits)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a second and less, so that the tests take no longer."""
    limit(monkeypatch, 0.5)
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 0.2)


@pytest.mark.usefixtures("hurried")
async def test_headers_must_come_in_time_however_slowly_they_drip() -> None:
    async with lab() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(made.base.url))
        began = asyncio.get_running_loop().time()
        answer = asyncio.create_task(reader.read())
        for byte in HALF:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if answer.done():
                break
        with suppress(ConnectionResetError):  # what still drips in may overtake the answer
            assert b" 408 " in await answer
        assert asyncio.get_running_loop().time() - began < 20
        writer.close()


@pytest.mark.usefixtures("hurried")
async def test_a_connection_without_a_request_is_closed() -> None:
    async with lab() as made:
        assert await talk(made.base.url, b"", 5) == b""
        async with asyncio.timeout(30):
            answer = await talk(made.base.url, HALF + b"\r\n", 5)
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("hurried")
async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    large = HALF.replace(b"/v1/users/ann", b"/large") + b"\r\n"
    async with lab() as made, opened(made.base.url, 1, large) as ((reader, _),):
        listener = made.base._main
        assert listener is not None
        got = len(await reader.read(1))  # it is connected, and the answer begins
        await until(lambda: len(listener._connections) == 0, "it is gone", 30)
        with suppress(ConnectionResetError):
            while more := await reader.read(1_000_000):
                got += len(more)
        assert got < LARGE_BYTES


async def test_the_longest_waiting_goes_and_requests_at_work_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 60)
    async with lab() as made:
        listener = made.base._main
        assert listener is not None
        held = [asyncio.create_task(ask(made.base.url, "/held")) for _ in range(3)]
        await until(lambda: made.held == 3, "three are at work")
        async with opened(made.base.url, 1, HALF) as waiting:
            await until(lambda: len(listener._connections) == 4, "one more waits")
            assert (await ask(made.base.url))[0] == 200
            assert await waiting[0][0].read() == b""
        fourth = asyncio.create_task(ask(made.base.url, "/held"))
        await until(lambda: made.held == 4, "four are at work")
        assert (await ask(made.base.url))[0] in (503, 0)
        assert (await ask(made.base.probe_url, "/livez"))[0] == 200
        made.released.set()
        assert [(await each)[0] for each in (*held, fourth)] == [200] * 4
        assert (await ask(made.base.url))[0] == 200


@pytest.mark.usefixtures("hurried")
async def test_a_body_must_come_in_time_and_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.routes.BODY_SECONDS", 0.3)
    put = b"PUT /v1/destinations/a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    async with lab() as made:
        assert b" 408 " in await talk(made.base.url, put + b"Content-Length: 10\r\n\r\nab", 5)
        assert b" 413 " in await talk(
            made.base.url, put + b"Content-Length: 2000000\r\n\r\n" + b"a" * 2_000_000, 5
        )


# -- nonsense ------------------------------------------------------------------------------------------

HEAD = b"Host: 127.0.0.1\r\nConnection: close\r\n"
PUT = b"PUT /v1/destinations/a HTTP/1.1\r\n" + HEAD
NONSENSE = [
    *(
        b"GET " + target + b" HTTP/1.1\r\n" + HEAD + b"\r\n"
        for target in (
            b"/v1/users/\xff",
            b"/v1/users/%ff",
            b"/v1/users/%ED%A0%80",
            b"/v1/users/%00",
            b"/v1/users/\x00",
            b"/v1/users/%",
            b"/v1/users/a b",
            b"/v1/users/a#b",
            b"/v1/users/a?project=%ff",
            b"/v1/users/a?project=\xff",
            b"/v1/users/a?project=%ED%A0%80",
            b"/v1/users/a?project=a&project=b",
            b"/v1/users/" + b"a" * 20_000,
            b"http://127.0.0.1/v1/users/a",
            b"http://[::1/v1/users/a",
            b"http://a:99999999/v1/users/a",
            b"//x/v1/users/a",
            b"*",
            b"",
        )
    ),
    *(
        b"GET /v1/users/a HTTP/1.1\r\n" + HEAD + header + b"\r\n\r\n"
        for header in (
            b"api-key: \xff",
            b"api-key: \xed\xa0\x80",
            b"Authorization: Bearer \xff",
            b"Authorization:",
            b"Expect: \xff",
            b"Cookie: \xff=;;\xff",
            b"Content-Type: \xff; charset=\xff",
            b"If-Modified-Since: \xff",
            b"Origin: http://[",
            b"\xff: a",
            b"x: \x00",
            b"x: " + b"a" * 20_000,
            b"\r\n".join(b"x%d: a" % number for number in range(1000)),
            b"Host: evil",
            b"Upgrade: websocket\r\nConnection: upgrade",
            b"no colon",
        )
    ),
    *(
        PUT + rest
        for rest in (
            b"Content-Length: x\r\n\r\n",
            b"Content-Length: -1\r\n\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"Content-Length: 99999999999999999999999\r\n\r\n",
            b"Transfer-Encoding: \xff\r\n\r\nzz",
            b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
            b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
            b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
        )
    ),
    b"GET /v1/users/a\r\n\r\n",
    b"GET /v1/users/a HTTP/1.0\r\n\r\n",
    b"GET /v1/users/a HTTP/1.1\r\n\r\n",
    b"GET /v1/users/a HTTP/1.1\r\nHost: \xff\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nExpect: \xff\r\n" + HEAD + b"\r\n",
    b"GET /none HTTP/1.1\r\nExpect: \xff\r\n" + HEAD + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    bytes(range(256)),
]


@pytest.mark.parametrize("keyed", [False, True])
async def test_nothing_that_a_client_sends_is_a_fault_of_ours(
    keyed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(5)
    async with lab(**({"api_keys": [api_key("k", "admin")]} if keyed else {})) as made:
        sent = NONSENSE + [each.replace(HEAD, HEAD + b"api-key: k\r\n") for each in NONSENSE if keyed]
        sent += [_broken(random, random.choice(sent)) for _ in range(200)]
        with caplog.at_level(logging.WARNING):
            for url in (made.base.url, made.base.probe_url):
                for answer, given in zip(await _all(url, sent), sent, strict=True):
                    assert not answer or answer.startswith((b"HTTP/1.", b"HTTP/0.9")), (given, answer)
                    assert b" 500 " not in answer[:20], (given, answer)
        assert not [each for each in caplog.records if each.exc_info], caplog.text
        headers = {"api_key": "k"} if keyed else {}
        assert (await ask(made.base.url, **headers))[0] == 200


async def _all(url: str, sent: list[bytes]) -> list[bytes]:
    slots = asyncio.Semaphore(30)

    async def one(each: bytes) -> bytes:
        async with slots:
            return await talk(url, each, 0.5)

    return await asyncio.gather(*map(one, sent))


def _broken(random: Random, given: bytes) -> bytes:
    made = bytearray(given[:3000])
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(made) + 1)
        if random.random() < 0.6:
            made[at:at] = bytes([random.choice(b"\x00\r\n%#?/\\ \xff\xc3:;[]@{}")])
        else:
            del made[at : at + 1]
    return bytes(made)


async def test_the_probes_have_a_port_of_their_own_without_keys_and_without_data() -> None:
    async with lab(api_keys=[api_key("k", "admin")]) as made:
        probes = made.base.probe_url
        assert probes != made.base.url
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await ask(probes, path))[0] == 200
        code, answer = await ask(probes, "/readyz?verbose")
        assert (code, answer.partition(b"\r\n\r\n")[2]) == (200, b"ok\n")
        for path in ("/v1/users/ann", "/openapi.json", "/v1/destinations/a"):
            assert (await ask(probes, path, api_key="k"))[0] == 404
        for path, wanted in {"/livez": 200, "/readyz": 200, "/metrics": 401, "/readyz?verbose": 401}.items():
            assert (await ask(made.base.url, path))[0] == wanted


async def test_a_second_process_finds_another_port_for_probes_unless_one_was_chosen() -> None:
    made = [Lab(), Lab()]
    for each in made:
        each.settings = each.settings.model_validate({"port": 0})
        each.base._settings = each.settings
    try:
        for each in made:
            await each.base.start()
        assert made[0].base.probe_url != made[1].base.probe_url
        assert (await ask(made[1].base.probe_url, "/livez"))[0] == 200
    finally:
        for each in made:
            await each.base.stop()

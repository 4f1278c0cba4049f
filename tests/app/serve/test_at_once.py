"""What is answered at once is answered as it is on the way that all requests can go."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from agents.evaluate.native.engine import Engine
from app.http import routes
from app.http.at_once import connection as at_once
from app.serve.process import new_loop
from tests.app.http.lab import api_key
from tests.app.serve.lab import client, lab
from tests.certificates import Authority
from tests.core.engines import is_built, native_engine

pytestmark = pytest.mark.skipif(not is_built(), reason="the native core isn't built: `make core`")
USERS = [f"user-{number:03}" for number in range(40)]
MOST = [f"x{number}" for number in range(11)]
HOST = b"Host: localhost\r\n"
THE_OTHER_WAY = b"TE: trailers\r\n"
"""A field that means nothing to us, and is not plain."""


def the_other_way(request: bytes) -> bytes:
    return request.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\n" + THE_OTHER_WAY, 1)


def get(path: str, fields: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path.encode(), HOST, fields)


def post(body: Any, fields: bytes = b"", query: str = "") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = b"POST /v1/lookup%b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n"
    return head % (query.encode(), HOST, fields, len(data)) + data


def users(*names: str) -> list[dict[str, str]]:
    return [{"user_id": each} for each in names]


def member(user: str, audience: str = "viewers", query: str = "") -> str:
    return f"/v1/audiences/{audience}/members/{user}{query}"


AT_ONCE = {
    "member": get(member("user-001")),
    "no member": get(member("user-001", "brief")),
    "unknown user": get(member("nobody")),
    "encoded": get(member("caf%C3%A9%20noir")),
    "encoded without need": get(member("%75ser-001")),
    "at and colon": get(member("a@b:c")),
    "project": get(member("sue", "shoppers", "?project=shop")),
    "fields": get(member("user-001"), b"User-Agent: x\r\nAccept: */*\r\nConnection: keep-alive\r\n"),
    "strange values": get(member("user-001"), b"X-Odd:\r\nx-tab: \t a\t b \r\n"),
    "minus": get(member("-")),
    "empty body": get(member("user-001"), b"Content-Length: 0\r\n"),
    "many": post({"users": users("nobody", *USERS), "audiences": ["viewers", "brief"]}),
    "all audiences": post({"users": users(*USERS)}),
    "twice the same": post({"users": users("user-001", "user-001"), "audiences": ["brief", "brief"]}),
    "deadline": post({"users": users("user-001"), "deadline_ms": 5}),
    "not only ASCII": post({"users": users("café noir", 'quo"te\\', "a/b")}),
    "of a project": post({"users": users("sue")}, query="?project=shop"),
    "with a type": post({"users": users("user-001")}, b"Content-Type: text/plain\r\n"),
    "no audience there": post({"users": users("user-001")}, query="?project=empty"),
}
THE_LONG_WAY = {
    "no audience": get(member("user-001", "viewer")),
    "no route": get("/v1/audience/viewers"),
    "of a user": get("/v1/users/user-001"),
    "dots": get(member("..")),
    "encoded dots": get(member("%2E%2E")),
    "a dot": get(member(".")),
    "encoded slash": get(member("a%2Fb")),
    "encoded percent": get(member("a%2541")),
    "NUL": get(member("a%00")),
    "a control character": get(member("a%0Ab")),
    "not UTF-8": get(member("%FF")),
    "half an escape": get(member("a%4")),
    "no user": get(member("")),
    "a long id": get(member("x" * 513)),
    "by identity": get(member("email:a@b.c", query="?by=identity")),
    "in the query": get(member("-", query="?user_id=user-001")),
    "project twice": get(member("sue", query="?project=shop&project=shop")),
    "unknown query": get(member("sue", query="?projects=shop")),
    "encoded project": get(member("sue", "shoppers", "?project=s%68op")),
    "empty project": get(member("user-001", query="?project=")),
    "plus": get(member("a+b")),
    "expect": post({"users": users("user-001")}, b"Expect: other\r\n"),
    "another site": post({"users": users("user-001")}, b"Sec-Fetch-Site: cross-site\r\n"),
    "another origin": post({"users": users("user-001")}, b"Origin: http://evil.example\r\n"),
    "another host": b"GET /v1/audiences/viewers/members/u HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "not JSON": post(b"{"),
    "not UTF-8 in JSON": post(b'{"users":[{"user_id":"\xff"}]}'),
    "empty": post(b""),
    "a list": post([]),
    "no users": post({"users": []}),
    "too many users": post({"users": users(*(["a"] * 1_001))}),
    "too many pairs": post({"users": users(*USERS * 25), "audiences": MOST}),
    "a number": post({"users": [{"user_id": 7}]}),
    "NUL in an id": post({"users": users("a\0b")}),
    "half a pair": post(b'{"users":[{"user_id":"\\ud800"}]}'),
    "a long one": post({"users": users("x" * 513)}),
    "an identity": post({"users": [{"identity": {"email": "a@b.c"}}]}),
    "unknown field": post({"users": users("a"), "audience": "viewers"}),
    "unknown audience": post({"users": users("a"), "audiences": ["viewers", "viewer"]}),
    "a position": post({"users": users("a"), "min_position": "soon"}),
    "no deadline": post({"users": users("a"), "deadline_ms": 0}),
    "another method": b"PUT /v1/lookup HTTP/1.1\r\n" + HOST + b"\r\n",
    "twice a field": get(member("user-001"), b"Accept: a\r\nAccept: b\r\n"),
}
FOR_GOOD = ("another method", "expect", "twice a field")
CLOSING = {
    "no host": b"GET /v1/audiences/viewers/members/u HTTP/1.1\r\n\r\n",
    "two hosts": get(member("user-001"), b"Host: localhost\r\n"),
    "two lengths": post({"users": users("a")}, b"Content-Length: 3\r\n"),
    "length and chunks": post({"users": users("a")}, b"Transfer-Encoding: chunked\r\n"),
    "a signed length": b"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\n{}",
    "a space before the colon": get(member("a"), b"Content-Length : 0\r\n"),
    "a folded field": get(member("a"), b"X-Folded: 1\r\n 2\r\n"),
    "a bare line feed": get(member("a"), b"X-Feed: 1\nX-More: 2\r\n"),
    "NUL in a field": get(member("a"), b"X-Nul: a\0b\r\n"),
    "no version": b"GET /v1/audiences/viewers/members/a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a large field": get(member("a"), b"X-Large: " + b"x" * 9_000 + b"\r\n"),
    "a long path": get(member("x" * 9_000)),
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "close": get(member("user-001"), b"Connection: close\r\n"),
}


def filled(made: Any) -> None:
    made.view([*USERS, "café noir", "-", "a@b:c", 'quo"te\\'])
    made.view(["sue"], project="shop")
    made.view(["user-003"], made.now_ms - 20_000)
    made.now_ms += 4_000


async def test_every_request_has_the_same_answer_on_either_way() -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        audiences = (f"{{id: {each}, name: {each}, rule: {{event: view}}}}" for each in MOST)
        made.define(f"audiences: [{', '.join(audiences)}]")
        for name, request in {**AT_ONCE, **THE_LONG_WAY}.items():
            other = the_other_way(request)
            before = dict(made.asked)
            async with client(made.url) as first, client(made.url) as second:
                answer = await first.ask(request)
                assert answer == await second.ask(other), name
                # The connection goes on, whoever answered, with whatever comes next.
                assert (await first.ask(get(member("user-002")))).startswith(b"HTTP/1.1 200"), name
            at_once = made.asked[True] - before[True]
            # On the connection whose first request goes to aiohttp for good, nothing is answered at once.
            expected = 0 if name in FOR_GOOD else 2 if name in AT_ONCE else 1
            assert at_once == expected, name


async def test_what_is_not_plain_is_refused_or_answered_by_the_other_way_alone() -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        for name, request in CLOSING.items():
            async with client(made.url) as asked:
                answer = await asked.ask(request)
                expected = [b"200"] if name == "close" else [b"400", b"403"]
                assert answer[9:12] in expected, (name, answer)
                assert await asked.is_closed(), name
        assert made.asked[True] == 0


@pytest.mark.parametrize("cut", [1, 4, 17, 40, 60, -30, -1])
async def test_a_request_that_comes_in_pieces_is_the_same_request(cut: int) -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        for request in (AT_ONCE["member"], AT_ONCE["many"]):
            async with client(made.url) as whole, client(made.url) as parts:
                expected = await whole.ask(request)
                for piece in (request[:cut], request[cut:]):
                    parts.writer.write(piece)
                    await parts.writer.drain()
                    await whole.ask(request)  # the server has had its turn
                assert await parts.answer() == expected


async def test_requests_that_come_together_are_answered_in_their_order() -> None:
    asked = [member(user) for user in USERS[:9]]
    requests = [get(each) for each in asked]
    requests[3] = get("/v1/users/user-003")
    requests[6] = post({"users": users("user-006")})
    requests.insert(7, get(member("user-007"), THE_OTHER_WAY))
    async with lab(engine=native_engine()) as made:
        filled(made)
        async with client(made.url) as one, client(made.url) as together:
            expected = [await one.ask(each) for each in requests]
            together.writer.write(b"".join(requests))
            assert [await together.answer() for _ in requests] == expected
        assert made.asked[True] >= 10
        async with client(made.url) as many:
            many.writer.write(requests[0] * 100)
            assert {await many.answer() for _ in range(100)} == {expected[0]}


async def test_a_request_behind_another_one_never_becomes_part_of_it() -> None:
    """Whoever reads another length than we do would take the second request for the first one's body."""
    inner = get(member("user-001"))
    async with lab(engine=native_engine()) as made:
        filled(made)
        async with client(made.url) as asked:
            answer = await asked.ask(get(member("user-002"), b"Content-Length: %d\r\n" % len(inner)) + inner)
            assert answer.startswith(b"HTTP/1.1 200")
            assert (await asked.ask(get(member("nobody")))).count(b'"member":false') == 1
        assert made.asked[True] == 0, "a body where there should be none is not plain"


KEYS = (
    api_key("good", "lookup"),
    api_key("other", "destinations"),
    api_key("shop", "lookup", projects=["shop"]),
    api_key("all", "admin", projects=["*"]),
)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        *(f"api-key: {each}" for each in ("good", "bad", "other", "shop", "all", "")),
        *(f"Authorization: {each}" for each in ("Bearer good", "Basic good")),
        *(f"api-key: good\r\n{each}" for each in ("api-key: bad", "Authorization: Bearer bad")),
    ],
)
async def test_keys_scopes_and_projects_hold_on_both_ways(fields: str) -> None:
    lines = (fields + "\r\n").encode() if fields else b""
    async with lab(*KEYS, engine=native_engine()) as made:
        filled(made)
        for request in (
            get(member("user-001"), lines),
            get(member("sue", "shoppers", "?project=shop"), lines),
            post({"users": users("user-001")}, lines),
            post({"users": users("sue")}, lines, "?project=shop"),
        ):
            async with client(made.url) as first, client(made.url) as second:
                answer = await first.ask(request)
                assert answer == await second.ask(the_other_way(request))
                assert (answer[9:12] == b"200") == (made.asked[True] > 0)
                made.asked[True] = 0


async def test_a_request_must_say_its_host_whoever_sent_it() -> None:
    async with lab(*KEYS, engine=native_engine()) as made:
        filled(made)
        for host in (b"", b"Host:\r\n"):
            request = get(member("user-001"), b"api-key: good\r\n").replace(HOST, host)
            async with client(made.url) as first, client(made.url) as second:
                assert await first.ask(request) == await second.ask(the_other_way(request))
        assert made.asked[True] == 0


async def test_each_request_counts_once_against_the_limit_of_its_key_on_whichever_way() -> None:
    limits = {"TURNSTILE_HTTP__RATE_LIMIT": "1", "TURNSTILE_HTTP__RATE_BURST": "4"}
    fields = b"api-key: good\r\n"
    requests = [get(member("user-001"), fields), get(member("user-001", "viewer"), fields)] * 2
    async with lab(*KEYS, engine=native_engine(), **limits) as made:
        filled(made)
        async with client(made.url) as asked:
            answers = [await asked.ask(each) for each in (*requests, requests[0], requests[0])]
    assert [each[9:12] for each in answers] == [b"200", b"404", b"200", b"404", b"429", b"429"]
    assert [each.split(b"RateLimit: ")[1][:9] for each in answers[:4]] == [
        b'"key";r=%d' % left for left in (3, 2, 1, 0)
    ]


async def test_lookups_are_counted_alike() -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        async with client(made.url) as first, client(made.url) as second:
            for request in (AT_ONCE["member"], AT_ONCE["many"]):
                await first.ask(request)
                await second.ask(the_other_way(request))
        found = {
            sample.labels["route"]: sample.value
            for metric in made.reader.metrics.lookups.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
        assert found == {"/v1/audiences/{audience}/members/{user_id}": 2.0, "/v1/lookup": 2.0}


async def test_what_cannot_be_told_at_once_is_told_by_the_other_way() -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        made.now_ms += 20_000
        async with client(made.url) as asked:
            assert (await asked.ask(get(member("user-001")))).startswith(b"HTTP/1.1 503"), "it is too old"
            assert b'"unavailable"' in await asked.ask(post({"users": users("user-001")}))
        assert made.reader.metrics.refused._value.get() == 2
        assert made.asked[True] == 0
        made.now_ms -= 20_000
        new = "audiences: [{id: new, name: New, rule: {event: buy}}]"
        made.define(new, is_ready=False)
        async with client(made.url) as asked:
            assert (await asked.ask(get(member("user-001", "new")))).startswith(b"HTTP/1.1 409")
            body = await asked.ask(post({"users": users("user-001"), "audiences": ["new"]}))
            assert b'"not_ready"' in body
            assert b"Retry-After: 1" in body
        assert made.asked[True] == 0


async def test_a_connection_ends_with_its_process() -> None:
    async with lab(engine=native_engine()) as made:
        filled(made)
        async with client(made.url) as asked, client(made.url) as silent:
            assert (await asked.ask(AT_ONCE["member"])).startswith(b"HTTP/1.1 200")
            await made.server.stop()
            assert await asked.is_closed()
            assert await silent.is_closed()


async def test_a_body_that_comes_too_slowly_is_refused_as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.1)
    async with lab(engine=native_engine()) as made:
        filled(made)
        async with client(made.url) as asked:
            answer = await asked.ask(AT_ONCE["many"][:-1])
        assert answer.startswith(b"HTTP/1.1 408"), answer
        assert b"problem+json" in answer


async def test_through_tls_it_is_the_same(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue(tmp_path, "127.0.0.1", "localhost")
    files = {"TURNSTILE_HTTP__TLS_CERT_FILE": str(cert), "TURNSTILE_HTTP__TLS_KEY_FILE": str(key)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    requests = [AT_ONCE["many"], AT_ONCE["member"], THE_LONG_WAY["of a user"], AT_ONCE["member"]]
    async with lab(engine=native_engine(), **files) as made:
        filled(made)
        async with client(made.url, ssl=context) as first, client(made.url, ssl=context) as second:
            for request in requests:
                assert await first.ask(request) == await second.ask(the_other_way(request))
        assert made.asked == {True: 3, False: 1}


def test_on_the_event_loop_of_readers_it_is_the_same(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert "uvloop" in type(runner.get_loop()).__module__
        runner.run(test_every_request_has_the_same_answer_on_either_way())
        runner.run(test_what_is_not_plain_is_refused_or_answered_by_the_other_way_alone())
        runner.run(test_requests_that_come_together_are_answered_in_their_order())
        runner.run(test_a_request_that_comes_in_pieces_is_the_same_request(60))
        runner.run(test_through_tls_it_is_the_same(tmp_path))


async def test_without_the_core_python_answers_the_same() -> None:
    answers = []
    for engine in (native_engine(), Engine()):
        async with lab(engine=engine) as made:
            filled(made)
            async with client(made.url) as asked:
                answers.append([await asked.ask(each) for each in AT_ONCE.values()])
            assert (made.asked[True] > 0) == (engine.core is not None)
    assert answers[0] == answers[1]

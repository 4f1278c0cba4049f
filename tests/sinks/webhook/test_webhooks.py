"""Webhooks against a real receiver that misbehaves: what is sent again, what is buried, in which order."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier

from agents.deliver.content.messages import Message
from agents.deliver.engine import pauses
from agents.sinks.webhook.sink import SHOWN_BYTES
from app.deliver.trial import TestSend, send_test
from app.settings.tree import load_settings
from rules.state.row import Trigger
from tests.stage.delivery import many, transition
from tests.stage.delivery_engine import DeliveryLab, destination, lab, message, messages
from tests.stage.receiver import Answer, Receiver, close_mid_body, first, ok, receiver, slow, status
from tests.stage.workers import until

QUICK = "retry: {first: 10ms, most: 50ms}"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def text(hook: Receiver, more: str = "", **webhook: object) -> str:
    target = {"url": hook.url, **webhook}
    return f"{{name: crm, kind: webhook, {QUICK}, {more} webhook: {json.dumps(target)}}}"


@pytest.mark.parametrize(
    ("bad", "unknown"),
    [
        (status(500), 0),
        (status(503), 0),
        (status(408), 0),
        (status(425), 0),
        (status(429), 0),
        (close_mid_body, 2),
        (slow(0.6), 2),
    ],
    ids=["500", "503", "408", "425", "429", "closed mid-body", "timeout"],
)
async def test_what_may_pass_is_sent_again_with_the_same_id_and_body(bad: Answer, unknown: int) -> None:
    async with receiver() as hook, lab(text(hook, timeout="300ms")) as made:
        hook.answer = first(2, bad)
        await made.deliver([message(transition("u1", 1))])
        report = made.engine.report
        assert (report.delivered, report.retries, report.unknown) == (1, 2, unknown)
        assert not made.buried
        bodies = {body for _, body in hook.requests}
        ids = {request.headers["webhook-id"] for request, _ in hook.requests}
        assert len(hook.requests) == 3
        assert len(bodies) == len(ids) == 1
        assert json.loads(bodies.pop())["id"] == ids.pop()


@pytest.mark.parametrize("code", [400, 401, 404, 410, 422, 301, 307, 308])
async def test_other_answers_refuse_for_good_and_the_users_next_one_goes_on(code: int) -> None:
    async with receiver() as hook, lab(text(hook)) as made:
        hook.answer = first(1, status(code, Location="http://elsewhere.example/"))
        work = messages([transition("u1", 1), transition("u1", 2)])
        await made.deliver(work)
        ((buried, reason, detail),) = made.buried
        assert buried is work[0]
        assert reason == f"http_{code}"
        assert str(code) in detail
        assert ("redirects are not followed" in detail) is (code < 400)
        assert hook.ids == [work[1].transitions[0].id]
        assert len(hook.requests) == 2


async def test_a_receiver_that_is_down_gets_everything_in_each_users_order_once_it_is_up() -> None:
    async with receiver() as hook, lab(text(hook)) as made:
        await hook.stop()
        work = messages(many(300, users=30))
        assert await made.engine.put(work)
        while made.engine.report.retries < 20:
            await asyncio.sleep(0.01)
        assert made.engine.report.state == "retrying"
        assert "no connection" in (made.engine.report.last_error or "")
        await hook.start()
        await done(work)
        assert_in_order(hook)
        assert len(hook.taken) == 300
        assert made.engine.report.state == "running"


async def test_retry_after_pauses_every_lane() -> None:
    async with receiver() as hook, lab(text(hook)) as made:
        hook.answer = first(1, status(429, Retry_After="1"))
        await made.deliver([message(transition("u1", 1))])
        first_at = time.monotonic()
        hook.answer = first(1, status(503, Retry_After="1"))
        await made.deliver([message(transition("u1", 2))])
        await made.deliver([message(transition("u2", 1))])
        assert 1.0 <= time.monotonic() - first_at < 20.0


async def test_a_late_success_does_not_cut_a_pause_short_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pauses, "SILENCE_SECONDS", 0.1)
    async with receiver() as hook, lab(text(hook, concurrency=8)) as made:
        throttled: list[float] = []

        async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
            if json.loads(body)["user_id"] == "slow":
                await asyncio.sleep(0.3)
                return await ok(request, body)
            throttled.append(time.monotonic())
            return await (status(503, Retry_After="1") if len(throttled) == 1 else ok)(request, body)

        hook.answer = answer
        await made.deliver(messages([transition("slow", 1), transition("u1", 1)]))
        assert len(throttled) == 2
        assert throttled[1] - throttled[0] >= 0.95


async def test_one_user_who_fails_holds_up_nobody_else_and_is_buried_when_time_is_up() -> None:
    async with receiver() as hook:
        definition = text(hook, concurrency=1).replace("50ms}", "50ms, for: 1h}")
        async with lab(definition) as made:
            hook.answer = poisoned
            bad = messages([transition("bad", 1), transition("bad", 2)])
            good = messages(many(200, users=20))
            assert await made.engine.put([*bad, *good])
            await done(good)
            assert not any(each.done for each in bad)
            assert not made.buried
            for each in bad:
                await until(lambda each=each: each.attempts > 0, "it is tried", 20)  # type: ignore[misc]
                each.first_s -= 3_600
                await done([each])
            assert [code for _, code, _ in made.buried] == ["gave_up", "gave_up"]
            assert [each for each, _, _ in made.buried] == bad
            assert_in_order(hook)


async def test_one_that_fails_alone_is_buried_early_when_it_stops_all_reading() -> None:
    span = 0
    async with receiver() as hook, lab(text(hook), in_flight=10, span=lambda: span) as made:
        hook.answer = poisoned
        bad = message(transition("bad", 1))
        assert await made.engine.put([bad])
        await made.deliver(messages(many(20)))
        span = 100
        await done([bad])
        assert [code for _, code, _ in made.buried] == ["in_the_way"]


async def test_signatures_are_those_of_standard_webhooks() -> None:
    target = {"signing_secret": {"secret": "SIGN"}, "json": {"text": "ü ${user_id}"}}
    async with receiver() as hook, lab(text(hook, **target), environ={"SIGN": SECRET}) as made:
        await made.deliver([message(transition("u1", 1))])
        ((request, body),) = hook.requests
        assert Verifier(SECRET).verify(body, dict(request.headers)) == {"text": "ü u1"}


async def test_a_form_and_a_query_are_filled_and_quoted() -> None:
    target = {
        "form": {"to": "${user_id}", "text": "Dear ${name} & ${sku}", "campaign": "spring"},
        "query": {"audience": "${audience_name}"},
        "headers": {"X-User": "${user_id}", "X-Key": {"secret": "KEY"}},
        "variables": {"name": {"property": "nick", "default": "Member"}, "sku": {"property": "sku"}},
    }
    async with receiver() as hook, lab(text(hook, **target), environ={"KEY": "k3y!k3y!"}) as made:
        properties = ("trigger.properties", b'{"sku": "a&b"}')
        await made.deliver([message(transition("u 1\r\nX: y", 1), 0, [properties])])
        ((request, body),) = hook.requests
        assert parse_qs(body.decode()) == {
            "to": ["u 1\r\nX: y"],
            "text": ["Dear Member & a&b"],
            "campaign": ["spring"],
        }
        assert request.query["audience"] == "A"
        assert request.headers["X-User"] == "u 1  X: y"
        assert "X" not in request.headers
        assert request.headers["X-Key"] == "k3y!k3y!"
        assert request.content_type == "application/x-www-form-urlencoded"


async def test_batches_hold_many_and_are_refused_or_taken_whole() -> None:
    async with receiver() as hook, lab(text(hook, batch=50, concurrency=2)) as made:
        await made.deliver(messages(many(1000, users=40)))
        assert len(hook.taken) == 1000
        assert len(hook.requests) < 100
        assert_in_order(hook)


async def test_no_more_requests_at_once_than_concurrency_and_no_more_a_second_than_rate() -> None:
    async with receiver() as hook, lab(text(hook, "rate: 100,", concurrency=3)) as made:
        hook.answer = slow(0.05)
        started = time.monotonic()
        await made.deliver(messages(many(60)))
        assert hook.most_at_once == 3
        assert time.monotonic() - started >= 0.4


async def test_private_addresses_are_not_asked_unless_allowed() -> None:
    async with receiver() as hook:
        for url in (hook.url, hook.url.replace("127.0.0.1", "localhost")):
            made = DeliveryLab(text(hook, url=url), allow_private=False)
            await made.engine.open()
            work = [message(transition("u1", 1))]
            assert await made.engine.put(work)
            while not made.engine.report.last_error:
                await asyncio.sleep(0.01)
            assert "address_not_allowed" in made.engine.report.last_error
            assert "not an address of the public internet" in made.engine.report.last_error
            assert not work[0].done
            await made.engine.close()
        assert not hook.requests


async def test_a_user_is_looked_up_for_attributes_and_another_id() -> None:
    async def user(request: web.Request) -> web.Response:
        if request.query["user_id"] == "..":
            return web.json_response({"attributes": {}, "identities": {}})
        return web.json_response(
            {"attributes": {"nick": "Ann", "age": 7}, "identities": {"email": "a@b.example"}}
        )

    app = web.Application()
    app.router.add_get("/v1/users/-", user)  # an id of dots never gets there in a path
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    tree = {"to": "${user_id}", "text": "Dear ${nick}", "age": "${age}", "none": "${none}"}
    variables = {name: {"attribute": name} for name in ("nick", "age", "none")}
    try:
        async with receiver() as hook:
            definition = text(hook, "id_type: email,", json=tree, variables=variables)
            async with lab(definition, lookup_url=url) as made:
                await made.deliver(messages([transition("u1", 1), transition("..", 1)]))
                assert hook.taken == [{"to": "a@b.example", "text": "Dear Ann", "age": 7, "none": None}]
                assert [code for _, code, _ in made.buried] == ["no_identity"]
    finally:
        await runner.cleanup()


async def test_letting_go_forgets_what_was_not_sent_and_goes_on_afterwards() -> None:
    async with receiver() as hook, lab(text(hook, concurrency=2)) as made:
        hook.answer = slow(0.2)
        work = messages(many(20))
        assert await made.engine.put(work)
        while not hook.requests:
            await asyncio.sleep(0.01)
        await made.engine.let_go()
        sent = len(hook.requests)
        assert sum(each.done for each in work) == sent <= 4
        hook.answer = ok
        await made.deliver(messages(many(20)))
        assert len(hook.requests) == sent + 20


def assert_in_order(hook: Receiver) -> None:
    """Each user's transitions came in the order of ``seq``."""
    last: dict[str, int] = {}
    for each in hook.taken:
        assert last.get(each["user_id"], 0) < each["seq"]
        last[each["user_id"]] = each["seq"]


async def poisoned(request: web.Request, body: bytes) -> web.StreamResponse:
    """Can't stomach one user."""
    bad = json.loads(body)["user_id"] == "bad"
    return await (status(500) if bad else ok)(request, body)


async def done(work: list[Message]) -> None:
    await until(lambda: all(each.done for each in work), "all is done", 20)


async def test_a_test_send_shows_the_beginning_of_a_long_answer() -> None:
    """Some texts take long to mask: all of them would hold up every other destination."""
    settings = load_settings(None, {"TURNSTILE_DELIVER__ALLOW_PRIVATE": "true"})
    async with receiver() as hook:

        async def long(_: web.Request, body: bytes) -> web.Response:
            return web.Response(text="%5C" * 20_000)

        hook.answer = long
        result = await send_test(settings, destination(text(hook)), TestSend())
    (exchange,) = cast(Any, result.exchanges)
    assert len(exchange["answer"]["body"]) == SHOWN_BYTES


async def test_a_test_send_to_a_destination_of_events_is_an_event() -> None:
    settings = load_settings(None, {"TURNSTILE_DELIVER__ALLOW_PRIVATE": "true"})
    async with receiver() as hook:
        crm = destination(text(hook, "on: event, audiences: [gold], events: [{event: buy, where: {a: 1}}],"))
        result = await send_test(settings, crm, TestSend(user_id="ann", properties={"price": 7}))
    assert result.ok
    (sent,) = hook.taken
    told = sent["event"], sent["audience"], sent["destination"], sent["trigger"]["event"], sent["properties"]
    assert told == ("event", "gold", "crm", "buy", {"price": 7})


async def test_an_event_names_its_audience_and_fills_in_its_properties() -> None:
    event = transition("ann", 1, "gold", trigger=Trigger("buy", None, 0, b'{"price":7}'), destination="crm")
    async with receiver() as hook:
        filled = {"of": "${audience}", "price": "${price}", "cents": "${cents}", "all": "${all}"}
        variables = {
            "price": {"property": "price"},
            "cents": {"property": "cents", "default": 5},
            "all": {"field": "properties"},
        }
        written = text(hook, "on: event,", json=filled, variables=variables)
        async with lab(written) as made:
            await made.engine.put([message(event)])
            await until(lambda: hook.taken, "it came", 10)
        async with lab(text(hook, "on: event,")) as made:
            await made.engine.put([message(event)])
            await until(lambda: len(hook.taken) == 2, "it came as it is", 10)
    own, plain = hook.taken
    assert own == {"of": "gold", "price": 7, "cents": 5, "all": {"price": 7}}
    assert (plain["audience"], plain["properties"], "filter" in plain) == ("gold", {"price": 7}, False)

"""Batches hold what goes to one address with the same headers, and one message what is about all of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from agents.deliver.content.grouping import is_merged
from tests.stage.delivery import many, transition
from tests.stage.delivery_engine import destination, lab, message, messages
from tests.stage.receiver import Receiver, ok, receiver, status


def webhook(hook: Receiver, path: str = "", batch: int = 50, **target: object) -> str:
    url = f"http://127.0.0.1:{hook.port}/hook{path}"
    retry = {"first": "10ms", "most": "20ms"}
    document = {"url": url, "batch": batch, "concurrency": 1, **target}
    return json.dumps({"name": "a", "kind": "webhook", "retry": retry, "webhook": document})


@pytest.mark.parametrize(
    ("path", "target", "read"),
    [
        ("/${user_id}", {}, lambda request: request.path.rpartition("/")[2]),
        ("?u=${user_id}", {}, lambda request: request.query["u"]),
        ("", {"query": {"u": "${user_id}"}}, lambda request: request.query["u"]),
        ("", {"headers": {"X-User": "${user_id}"}}, lambda request: request.headers["X-User"]),
    ],
    ids=["path", "query of the url", "query", "header"],
)
async def test_each_user_of_a_batch_goes_where_its_own_values_say(path: str, target: Any, read: Any) -> None:
    async with receiver() as hook, lab(webhook(hook, path, **target)) as made:
        await made.deliver(messages(many(60, users=6)))
        found = [
            (read(request), [each["user_id"] for each in json.loads(body)]) for request, body in hook.requests
        ]
        assert all(set(users) == {named} for named, users in found), found
        assert Counter(user for _, users in found for user in users) == {f"u{at}": 10 for at in range(6)}
        assert len(hook.requests) < 60
        for request, body in hook.requests:
            bodies = json.loads(body)
            assert len(bodies) > 1 or request.headers["webhook-id"] == bodies[0]["id"]


async def test_a_users_transitions_stay_in_order_where_they_go_to_different_addresses() -> None:
    async with receiver() as hook, lab(webhook(hook, "/${event}")) as made:
        work = messages([transition(f"u{user}", seq) for seq in range(1, 7) for user in range(3)])
        await made.deliver(work)
        assert {request.path for request, _ in hook.requests} == {"/hook/enter", "/hook/exit"}
        assert all(
            {each["event"] for each in json.loads(body)} == {request.path.rpartition("/")[2]}
            for request, body in hook.requests
        )
        last: dict[str, int] = {}
        for each in hook.taken:
            assert each["seq"] == last.get(each["user_id"], 0) + 1
            last[each["user_id"]] = each["seq"]
        assert len(hook.requests) < 18


async def test_what_comes_after_a_failure_of_its_user_waits_although_it_goes_elsewhere() -> None:
    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        is_first = sum(each.path == request.path for each, _ in hook.requests) == 1
        fails = request.path.endswith("/enter") and is_first
        return await (status(500) if fails else ok)(request, body)

    async with receiver() as hook, lab(webhook(hook, "/${event}")) as made:
        hook.answer = answer
        await made.deliver(messages([transition("u1", seq) for seq in (1, 2)]))
        assert [each["seq"] for each in hook.taken] == [1, 2]


async def test_what_a_user_is_refused_or_waits_for_holds_up_no_other_of_its_batch() -> None:
    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        user = request.path.rpartition("/")[2]
        if user == "bad":
            return await status(400)(request, body)
        if user == "flaky" and len([each for each, _ in hook.requests if each.path == request.path]) == 1:
            return await status(500)(request, body)
        return await ok(request, body)

    async with receiver() as hook, lab(webhook(hook, "/${user_id}")) as made:
        hook.answer = answer
        users = ("flaky", "bad", "..", "good")
        await made.deliver(messages([transition(user, seq) for seq in (1, 2) for user in users]))
        assert sorted((each.user_id, code) for each, code, _ in made.buried) == [
            ("..", "unsafe_path"),
            ("..", "unsafe_path"),
            ("bad", "http_400"),
            ("bad", "http_400"),
        ]
        assert [each["seq"] for each in hook.taken if each["user_id"] == "flaky"] == [1, 2]
        assert [each["seq"] for each in hook.taken if each["user_id"] == "good"] == [1, 2]


async def test_one_member_of_a_batch_that_can_not_be_sent_is_refused_alone() -> None:
    headers = {"X-Name": "${audience_name}"}
    async with receiver() as hook, lab(webhook(hook, headers=headers)) as made:
        work = messages(
            [transition("u1", 1), transition("u2", 1, audience_name="a\x01b"), transition("u3", 1)]
        )
        await made.deliver(work)
        assert [(each.user_id, code) for each, code, _ in made.buried] == [("u2", "invalid_header")]
        assert sorted(each["user_id"] for each in hook.taken) == ["u1", "u3"]


@pytest.mark.parametrize(
    ("kind", "target", "merged"),
    [
        ("webhook", {"url": "https://x/"}, True),
        ("webhook", {"url": "https://x/${user_id}", "headers": {"X-P": "${project}"}}, True),
        ("webhook", {"url": "https://x/${audience}"}, False),
        ("webhook", {"url": "https://x/", "headers": {"X-Id": "${id}"}}, False),
        ("webhook", {"url": "https://x/", "query": {"e": "${event}"}}, False),
        ("webhook", {"url": "https://x/", "json": {"a": ["${seq}"]}}, False),
        (
            "webhook",
            {"url": "https://x/", "form": {"n": "${n}"}, "variables": {"n": {"attribute": "n"}}},
            True,
        ),
        (
            "webhook",
            {"url": "https://x/", "form": {"n": "${n}"}, "variables": {"n": {"property": "n"}}},
            False,
        ),
        (
            "webhook",
            {"url": "https://x/", "form": {"n": "${n}"}, "variables": {"n": {"field": "cause"}}},
            False,
        ),
        ("kafka", {"topic": "t"}, True),
        ("kafka", {"topic": "t.${project}"}, True),
        ("kafka", {"topic": "t.${audience}"}, False),
        ("kafka", {"topic": "t", "membership": True}, False),
        ("kafka", {"topic": "t", "fields": {"u": "user_id"}}, True),
        ("kafka", {"topic": "t", "fields": {"a": "audience"}}, False),
        ("kafka", {"topic": "t", "fields": {"a": "trigger.event"}}, False),
        ("eventhub", {"namespace": "x.servicebus.windows.net", "hub": "h"}, True),
    ],
)
def test_transitions_go_as_one_message_only_where_nothing_of_it_is_about_one(
    kind: str, target: dict[str, object], merged: bool
) -> None:
    document = {"name": "a", "kind": kind, "body": "lytics", kind: target}
    assert is_merged(destination(json.dumps(document))) is merged
    assert not is_merged(destination(json.dumps({**document, "body": "native"})))


async def test_a_webhook_without_variables_still_sends_batches() -> None:
    async with receiver() as hook, lab(webhook(hook)) as made:
        await made.deliver([message(each) for each in many(200, users=20)])
        assert len(hook.requests) < 20

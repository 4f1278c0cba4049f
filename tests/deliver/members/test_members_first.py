"""Current members first, then what goes on: with a real worker that makes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    destinations_topic,
    publish_destinations,
)
from tests.stage.delivery import DelivererProcess
from tests.stage.receiver import Receiver, receiver
from tests.stage.scene import Scene, scene
from tests.stage.workers import until

AUDIENCES = """
audiences:
  - {id: buyers, name: Buyers, rule: {event: buy}}
  - {id: gold, name: Gold, rule: {attribute: plan, eq: gold}}
"""
USERS = 200


def member(user: int, plan: str) -> bytes:
    attributes = {"plan": plan, "nick": f"Nick {user}"}
    return json.dumps({"type": "profile", "user_id": f"u{user}", "set": attributes}).encode()


def buy(user: int) -> bytes:
    return json.dumps({"user_id": f"u{user}", "event": "buy"}).encode()


async def write(stage: Scene, records: list[bytes]) -> None:
    sent = [
        await stage.producer.send(stage.events, each, json.loads(each)["user_id"].encode())
        for each in records
    ]
    await stage.producer.flush()
    for each in sent:
        await each


def memberships(hook: Receiver) -> Mapping[str, set[str]]:
    """Who is in, as the receiver saw it: the last word on each user and audience."""
    found: dict[str, set[str]] = {"buyers": set(), "gold": set()}
    for each in hook.taken:
        if each["event"] == "enter":
            found[each["audience"]].add(each["user"])
        else:
            found[each["audience"]].discard(each["user"])
    return found


def assert_order(hook: Receiver) -> None:
    last: dict[tuple[str, str], int] = {}
    for each in hook.taken:
        key = each["user"], each["audience"]
        assert last.get(key, 0) <= each["seq"], each
        last[key] = each["seq"]


async def test_members_come_first_then_all_that_follows_with_no_gap(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.define(AUDIENCES)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        await write(stage, [member(user, "gold") for user in range(USERS)])
        await write(stage, [buy(user) for user in range(0, USERS, 2)])
        await write(stage, [member(user, "none") for user in range(0, USERS, 4)])
        await stage.reach(USERS + USERS / 2 + USERS / 4)
        await make_destination(stage, hook)
        settings = {
            **{key: value for key, value in worker.settings.items() if not key.startswith("http.")},
            "deliver.allow_private": True,
            "deliver.lookup_url": worker.url,
            "worker.id": "d1",
        }
        deliverer = DelivererProcess("d1", tmp_path, settings)
        flipping = asyncio.create_task(flip(stage))
        try:
            deliverer.start()
            await until(lambda: len(hook.taken) > 50, "the first came", 60, [deliverer])
            deliverer.kill()
            deliverer.start()
            await flipping
            await write(stage, [member(user, "gold") for user in range(3)])
            expected = {
                "buyers": {f"u{user}" for user in range(0, USERS, 2)},
                "gold": {f"u{user}" for user in range(USERS) if user % 4 or user < 3},
            }
            await until(lambda: memberships(hook) == expected, "all are known", 60, [deliverer])
            await until(lambda: no_lag(deliverer), "no lag", 30, [deliverer])
            assert memberships(hook) == expected
            backfilled = [each for each in hook.taken if each["cause"] == "backfill"]
            assert len({each["id"] for each in backfilled}) >= USERS
            assert {each["nick"] for each in hook.taken} == {f"Nick {user}" for user in range(USERS)}
            deliverer.end()
            count = len(hook.taken)
            deliverer.start()
            await until(lambda: no_lag(deliverer), "no lag", 30, [deliverer])
            await write(stage, [buy(USERS + 1)])
            await until(lambda: memberships(hook)["buyers"] != expected["buyers"], "it goes on", 30)
            assert len(hook.taken) == count + 1, "members were sent once more"
            deliverer.end()
        finally:
            flipping.cancel()
            if deliverer.process is not None:
                deliverer.kill()


async def test_existing_members_that_are_switched_on_later_are_sent_then_and_once(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.define(AUDIENCES)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        await write(stage, [member(user, "gold") for user in range(20)])
        await stage.reach(20)
        await make_destination(stage, hook, existing=False)
        settings = {
            **{key: value for key, value in worker.settings.items() if not key.startswith("http.")},
            "deliver.allow_private": True,
            "deliver.lookup_url": worker.url,
        }
        deliverer = DelivererProcess("d1", tmp_path, settings)
        try:
            deliverer.start()
            await until(lambda: no_lag(deliverer), "it has begun", 60, [deliverer])
            await write(stage, [member(20, "gold")])
            await until(lambda: len(hook.taken) == 1, "what is new comes", 30, [deliverer])
            await make_destination(stage, hook, existing=True, version=2)
            members = {f"u{user}" for user in range(21)}
            await until(lambda: memberships(hook)["gold"] == members, "all came", 60, [deliverer])
            await until(lambda: no_lag(deliverer), "all is committed", 30, [deliverer])
            await make_destination(stage, hook, existing=False, version=3)
            await make_destination(stage, hook, existing=True, version=4)
            await write(stage, [member(3, "none")])
            members.remove("u3")
            await until(lambda: memberships(hook)["gold"] == members, "it goes on", 60, [deliverer])
            await until(lambda: no_lag(deliverer), "all is committed", 30, [deliverer])
            assert len(hook.taken) == 1 + 21 + 1, "members were sent once more"
            deliverer.end()
        finally:
            if deliverer.process is not None:
                deliverer.kill()


async def make_destination(stage: Scene, hook: Receiver, existing: bool = True, version: int = 1) -> None:
    names = ("id", "event", "audience", "seq", "cause")
    target: dict[str, Any] = {
        "url": hook.url,
        "json": {"user": "${user_id}", "nick": "${nick}", **{name: f"${{{name}}}" for name in names}},
        "variables": {"nick": {"attribute": "nick"}},
    }
    definition = {"name": "crm", "kind": "webhook", "existing_members": existing, "webhook": target}
    (destination,) = load_destinations([("crm.json", json.dumps(definition))])
    if version == 1:
        await stage.make(destinations_topic(stage.prefix), 1, {"cleanup.policy": "compact"})
    topic = destinations_topic(stage.prefix)
    await publish_destinations(stage.producer, topic, [PublishedDestination(destination, version)])


async def flip(stage: Scene) -> None:
    """While members are read: users leave and come back, some for good."""
    for turn in range(8):
        plan = "none" if turn % 2 == 0 else "gold"
        await write(stage, [member(user, plan) for user in range(1, USERS, 4)])
        await asyncio.sleep(0.4)


async def no_lag(deliverer: DelivererProcess) -> bool:
    return bool((await deliverer.status("crm"))["lag"] == 0)

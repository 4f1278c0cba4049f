"""``on: event``, end to end: a worker, a delivery worker and a receiver; the worker is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import (
    PublishedDestination,
    destinations_topic,
    publish_destinations,
)
from tests.stage.delivery import DelivererProcess
from tests.stage.receiver import receiver
from tests.stage.scene import Scene, scene
from tests.stage.workers import until

AUDIENCES = "{id: big, name: Big, rule: {event: buy, where: {price: {gte: 100}}}}"
DESTINATION = """
name: crm
kind: webhook
on: event
audiences: [big]
events: [buy, {event: view, where: {page: cart}}]
reach_by: email
retry: {first: 50ms, most: 300ms}
webhook:
  url: %s
  variables:
    price: {property: price, default: 0}
    tier: {attribute: tier, default: none}
    what: {field: trigger.event}
  json:
    {id: "${id}", user: "${user_id}", to: "${reach_id}", seq: "${seq}", price: "${price}", tier: "${tier}",
     what: "${what}"}
"""
EDITED = DESTINATION.replace("audiences: [big]\n", "").replace("events: [buy, ", "events: [ping, ")
USERS = 6


async def write(stage: Scene, records: list[dict[str, Any]]) -> None:
    for each in records:
        await stage.producer.send(stage.events, json.dumps(each).encode(), each["user_id"].encode())
    await stage.producer.flush()


def bought(user: int, price: int) -> dict[str, Any]:
    """The last user has no email."""
    identities = {"email": f"u{user}@a.example"} if user < USERS - 1 else {}
    return {
        **{"user_id": f"u{user}", "event": "buy", "id": f"{user}-{price}", "identities": identities},
        "properties": {"price": price},
    }


async def test_each_event_of_a_member_is_sent_and_nothing_twice_under_another_id(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage, receiver() as hook:
        await stage.define(AUDIENCES)
        topic = destinations_topic(stage.prefix)
        await stage.make(topic, 1, {"cleanup.policy": "compact"})
        (destination,) = load_destinations([("crm.yaml", DESTINATION % hook.url)])
        await publish_destinations(stage.producer, topic, [PublishedDestination(destination, 1)])
        worker = stage.worker(worker__id="w1")  # it comes back at once
        settings = {
            **{key: value for key, value in worker.settings.items() if not key.startswith("http.")},
            **{"deliver.allow_private": True, "deliver.lookup_url": worker.url, "worker.id": "d1"},
        }
        deliverer = DelivererProcess("d1", tmp_path, settings)

        async def has_begun() -> bool:
            return bool((await deliverer.status("crm"))["lag"] == 0)

        try:
            deliverer.start()
            worker.start()
            await until(has_begun, "the destination has begun", 60, [deliverer, worker])
            await worker.wait_ready()
            tiers = [
                {"type": "profile", "user_id": f"u{user}", "set": {"tier": "t"}} for user in range(USERS)
            ]
            first = [bought(user, price) for price in (50, 100, 7) for user in range(USERS)]
            await write(stage, [*tiers, *first, *first])
            await until(lambda: len(hook.taken) > 3, "the first came", 60, [deliverer, worker])
            worker.kill()
            views = [
                {"user_id": f"u{user}", "event": "view", "properties": {"page": page}}
                for page in ("cart", "home")
                for user in range(USERS)
            ]
            await write(stage, [*[bought(user, 8) for user in range(USERS)], *views])
            worker.start()
            expected = {
                (f"u{user}", seq, price, what)
                for user in range(USERS - 1)
                for seq, price, what in ((1, 100, "buy"), (2, 7, "buy"), (3, 8, "buy"), (4, 0, "view"))
            }
            await until(
                lambda: (
                    {(each["user"], each["seq"], each["price"], each["what"]) for each in hook.taken}
                    >= expected
                ),
                "all came",
                90,
                [deliverer, worker],
            )
            await until(has_begun, "all is committed", 60, [deliverer, worker])
            told = {each["id"]: json.dumps(each, sort_keys=True) for each in hook.taken}
            assert len(told) == len(expected)
            assert all(json.dumps(each, sort_keys=True) == told[each["id"]] for each in hook.taken)
            assert {(each["to"], each["tier"]) for each in hook.taken} == {
                (f"u{user}@a.example", "t") for user in range(USERS - 1)
            }
            dlq = f"{stage.prefix}.deliver.crm.dlq"

            async def are_all_refused() -> bool:
                return {json.loads(each.value)["seq"] for each in await stage.read(dlq)} == {1, 2, 3, 4}

            await until(are_all_refused, "all without an email are dead letters", 60, [deliverer, worker])
            letters = await stage.read(dlq)
            assert {dict(each.headers)["error.code"] for each in letters} == {b"no_identity"}
            deliverer.end()
            (later,) = load_destinations([("crm.yaml", EDITED % hook.url)])
            await publish_destinations(stage.producer, topic, [PublishedDestination(later, 2)])
            pings = iter(range(10_000))

            async def has_pinged() -> bool:
                """Workers go by the new definition soon, not at once."""
                await write(stage, [{"user_id": "u0", "event": "ping", "id": f"p{next(pings)}"}])
                return any(b'"event":"ping"' in each.value for each in await stage.read(stage.transitions))

            await until(has_pinged, "an edit counts without a restart", 60, [worker])
        finally:
            if deliverer.process is not None:
                deliverer.kill()

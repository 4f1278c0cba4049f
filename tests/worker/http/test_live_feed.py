"""The live feed of real workers: a client whose worker dies goes on with another one."""

from __future__ import annotations

import time
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.app.live.lab import Event, follow, some
from tests.stage.log import view
from tests.stage.scene import Scene, scene

EVER = """
audiences:
  - {id: fans, name: Fans, rule: {event: view}}
  - {id: others, name: Others, rule: {event: view}}
"""


async def entered(stage: Scene, users: list[str]) -> None:
    now_ms = int(time.time() * 1000)
    for name in users:
        await stage.send(partition_of(name, stage.partitions), [view(name, now_ms)])


def names(found: list[Event]) -> list[str]:
    return sorted(each.body["user_id"] for each in found)


async def test_a_client_whose_worker_stops_misses_nothing_and_gets_nothing_twice(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    users = [f"u{number}" for number in range(30)]
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(EVER)
        first, second = stage.worker("w1"), stage.worker("w2")
        first.start()
        second.start()
        await first.wait_ready()
        await second.wait_ready()
        async with follow(first.url) as found:
            await entered(stage, users[:10])
            before = await some(found, 10)
            first.stop()
            (end,) = await some(found, 1)
        assert (end.name, end.body["reason"]) == ("end", "stopping")
        await entered(stage, users[10:20])
        async with follow(second.url, before[-1].id) as found:
            after = await some(found, 10)
            await entered(stage, users[20:])
            after += await some(found, 10)
        assert names(before) == sorted(users[:10])
        assert names(after) == sorted(users[10:])
        assert {each.body["audience"] for each in before + after} == {"fans"}
        written = (await stage.outcome()).bodies
        assert all(written[each.body["id"]].decode() == each.data[0] for each in before + after)

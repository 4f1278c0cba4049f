"""A worker refuses records from the future, whoever set their timestamps; a second one decides alike."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from tests.stage.log import view
from tests.stage.scene import scene
from tests.stage.topics import configure

DAY = 86_400_000
SEEN = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
async def test_a_record_from_tomorrow_is_a_dead_letter_once_and_for_all(
    kafka: str, topic_prefix: str, tmp_path: Path, kind: str
) -> None:
    now_ms = time.time_ns() // 1_000_000
    ahead = [now_ms + DAY, now_ms + 300 * DAY]
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(SEEN)
        if kind == "LogAppendTime":
            await configure(stage.admin, stage.events, {"message.timestamp.type": kind})
        # In one batch and in several: a good one behind a bad one is taken all the same.
        await stage.send(0, [view("ann", now_ms), view("bob", ahead[0]), view("cid", now_ms)])
        await stage.send(0, [view("dan", ahead[1])])
        await stage.send(0, [view("eve", now_ms)])
        worker = stage.worker(clock__max_lead_ms=60_000)
        worker.start()
        await stage.finished()
        letters = await stage.read(stage.dead_letters)
        entered = sorted(json.loads(each.value)["user_id"] for each in await stage.read(stage.transitions))
        (clock,) = (await worker.clocks()).values()
        assert clock * 1000 < now_ms + DAY / 2
        if kind == "LogAppendTime":
            assert letters == []
            assert entered == ["ann", "bob", "cid", "dan", "eve"]
            worker.stop()
            return
        told = [dict(each.headers) for each in letters]
        assert [each["source.offset"] for each in told] == [b"1", b"3"]
        assert {each["error.code"] for each in told} == {b"timestamp_ahead"}
        assert [each["source.timestamp"] for each in told] == [str(each).encode() for each in ahead]
        assert entered == ["ann", "cid", "eve"]
        worker.stop()
        worker.wipe()
        # All is read again, with a wall clock that takes all: what was decided holds.
        source = TopicPartition(stage.events, 0)
        stage.group.assign([source])
        await stage.group.commit({source: 0})
        worker.start(clock__max_lead_ms=366 * DAY)
        await stage.finished()
        assert len(await stage.read(stage.transitions)) == 3
        (clock,) = (await worker.clocks()).values()
        assert clock * 1000 < now_ms + DAY / 2
        again = [dict(each.headers)["source.offset"] for each in await stage.read(stage.dead_letters)]
        assert again == [b"1", b"3", b"1", b"3"]
        worker.stop()

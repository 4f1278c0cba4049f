"""Workers and readers answer while they are killed, restarted and emptied. No answer is wrong or older than
it says: each is held against a model at its own instant."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.kafka.placement import partition_of
from rules.time.instants import format_instant
from tests.stage.answers import Judge, Sent, now_ms
from tests.stage.log import Line
from tests.stage.readers import ReaderProcess
from tests.stage.scene import Scene, scene
from tests.stage.workers import Worker

PARTITIONS = 4
USERS = [f"user-{number}" for number in range(24)]
GRACE_MS = 5_000
"""So long a record is on its way at most, also on a machine with much else to do."""
MOST_BEHIND_MS = 20_000
PAUSE_SECONDS = 0.05
"""Between two records of a partition."""
ASKED_AT_ONCE = 0.4
"""Of so many records somebody is asked as soon as Kafka has them."""
ASKERS = 3
ASK_SECONDS = 0.02
"""Between two questions of one of them."""
KINDS = ["view"] * 6 + ["cart"] * 3 + ["buy"] * 2
ABANDONED = {"all": [{"event": "cart", "within": "4s"}, {"not": {"event": "buy", "within": "4s"}}]}


def audiences(edited: str) -> list[dict[str, Any]]:
    """``edited``: the window of the audience that is published anew."""
    rules: dict[str, object] = {
        "ever": {"event": "view"},
        "brief": {"event": "view", "within": "2s"},
        "often": {"event": "view", "count": {"gte": 3}, "within": "6s"},
        "quiet": {"not": {"event": "*", "within": "1s"}},
        "abandoners": ABANDONED,
        "edited": {"event": "buy", "within": edited},
    }
    return [{"id": name, "name": name, "rule": rule} for name, rule in rules.items()]


BEFORE, AFTER = audiences("20s"), audiences("3s")


class Play:
    """Events that are sent, questions that are asked, and what happens at which number of events."""

    def __init__(self, stage: Scene, seed: int) -> None:
        self.stage = stage
        self.judge = Judge([BEFORE, AFTER], "edited", GRACE_MS, MOST_BEHIND_MS)
        self.random = Random(seed)
        self.events = 0
        self.unavailable = 0
        self.is_over = asyncio.Event()
        self.workers = [stage.worker(each, worker__standbys=1, **SETTINGS) for each in ("w1", "w2", "w3")]
        self.readers = [reader_of(stage, each) for each in ("r1", "r2")]

    # -- what is sent and asked ------------------------------------------------------------------------

    async def send(self, partition: int, random: Random) -> None:
        """Records of a partition's users, one after the other, until it is over."""
        mine = [each for each in USERS if partition_of(each, PARTITIONS) == partition]
        while not self.is_over.is_set():
            name, kind = random.choice(mine), random.choice(KINDS)
            sent = Sent(now_ms(), {"user_id": name, "event": kind})
            self.judge.sent.setdefault(name, []).append(sent)
            line = Line(sent.stamp_ms, name.encode(), json.dumps(sent.body).encode())
            await self.stage.send(partition, [line])
            sent.acknowledged_ms = now_ms()
            self.events += 1
            if random.random() < ASKED_AT_ONCE:
                await self.ask_of(random.choice(self.stage.running()), [name])
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_SECONDS))

    async def ask(self, random: Random) -> None:
        """Whoever runs, one user or several at once, until it is over."""
        while not self.is_over.is_set():
            process = random.choice(self.stage.running() or self.workers)
            names = random.sample(USERS, random.choice([1, 1, 5]))
            if not await self.ask_of(process, names):
                self.unavailable += 1
            await asyncio.sleep(ASK_SECONDS)

    async def ask_of(self, process: Worker, names: list[str]) -> bool:
        """Whether it answered for all of them. Raises AssertionError for a wrong answer."""
        asked = {each: self.judge.ask(each) for each in names}
        if len(names) == 1:
            status, body = await process.get(f"/v1/users/{names[0]}/audiences")
            assert status in (0, 200, 503), (process.name, status, body)
            if status != 200:
                return False
            audiences = {each["id"]: each["since"] for each in body["audiences"]}
            self.judge.check(names[0], asked[names[0]], {**body, "audiences": audiences}, process.name)
            return True
        status, body = await process.post("/v1/lookup", {"users": [{"user_id": each} for each in names]})
        assert status in (0, 200, 503), (process.name, status, body)
        told = body["users"] if status == 200 else []
        for name, each in zip(names, told, strict=False):
            assert each["user_id"] == name
            if each["status"] != "unavailable":
                audiences = {audience: it["since"] for audience, it in each["memberships"].items()}
                answer = {**each, "at": each["as_of"], "audiences": audiences}
                self.judge.check(name, asked[name], answer, process.name)
        return bool(told) and all(each["status"] != "unavailable" for each in told)

    # -- what happens ----------------------------------------------------------------------------------

    async def after(self, events: int) -> None:
        """Wait for so many more events."""
        goal = self.events + events
        await self.stage.until(lambda: self.events >= goal, f"{goal} events were sent")

    async def disturb(self) -> None:
        first, second, third = self.workers
        reader, other = self.readers
        await self.after(100)
        first.kill()
        await self.stage.until(self.is_taken_over, "the group has noticed it")
        first.wipe()
        first.start()
        await self.after(100)
        reader.kill()
        reader.wipe()
        reader.start()
        await self.after(80)
        self.judge.published = 2
        await self.stage.define(json.dumps({"audiences": AFTER[-1:]}), version=2)
        await self.after(80)
        second.kill()
        second.start()
        await self.after(100)
        other.kill()
        other.start()
        await asyncio.to_thread(third.stop)
        await self.after(60)
        third.start()
        await self.after(100)

    async def is_taken_over(self) -> bool:
        owned: set[int] = set()
        for worker in self.workers[1:]:
            status, body = await worker.get("/readyz?verbose")
            owned |= set(body["partitions"]) if status == 200 else set()
        return len(owned) == PARTITIONS


SETTINGS: dict[str, Any] = {
    "clock__grace_ms": GRACE_MS,
    "serve__max_behind_ms": MOST_BEHIND_MS,
    "audiences__max_change": 1_000_000,
}


async def is_settled(play: Play) -> bool:
    """The new version decides in every partition, whichever worker has it: that is written in Kafka."""
    for worker in play.workers:
        status, body = await worker.get("/v1/audiences/edited")
        if status != 200 or (body["version"], body["state"]) != (2, "ready"):
            return False
    return True


def reader_of(stage: Scene, name: str) -> ReaderProcess:
    made = ReaderProcess(name, stage.folder, stage.worker(name, **SETTINGS).settings)
    stage.workers[-1] = made
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_no_answer_is_wrong_or_older_than_it_says(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    print(f"seed {seed}")
    async with scene(kafka, topic_prefix, tmp_path, PARTITIONS) as stage:
        await stage.define(json.dumps({"audiences": BEFORE}))
        play = Play(stage, seed)
        for process in [*play.workers, *play.readers]:
            process.start()
        await stage.until(lambda: owned_by_all(play), "every worker has partitions, and each has a standby")
        for each in play.readers:
            await each.wait_ready()
        async with asyncio.TaskGroup() as going:
            for partition in range(PARTITIONS):
                going.create_task(play.send(partition, Random(seed * 100 + partition)))
            for number in range(ASKERS):
                going.create_task(play.ask(Random(seed * 100 + 50 + number)))
            await play.disturb()
            play.is_over.set()
        delays = [
            (each.acknowledged_ms or 0) - each.stamp_ms for it in play.judge.sent.values() for each in it
        ]
        print(f"the longest way to Kafka: {max(delays)} ms")
        print(f"{play.events} events, {play.unavailable} without an answer, {dict(play.judge.answers)}")
        answered = set(play.judge.answers)
        assert answered >= {each.name for each in play.workers}
        assert answered >= {f"{each.name}, as a reader" for each in play.readers}
        assert answered & {f"{each.name}, as a reader" for each in play.workers}, "no standby answered"
        await at_rest(play)
        await stage.outcome()  # numbers without gaps, and what came again is equal


async def owned_by_all(play: Play) -> bool:
    kept: set[str] = set()
    for worker in play.workers:
        status, body = await worker.get("/readyz?verbose")
        if status != 200 or not body["partitions"]:
            return False
        kept |= body["standbys"].keys()
    return len(kept) == PARTITIONS


async def at_rest(play: Play) -> None:
    """Nothing is sent any more: everybody is right about everybody, by the new version alone."""
    last: dict[int, str] = {}
    for name, sent in play.judge.sent.items():
        partition = partition_of(name, PARTITIONS)
        last[partition] = max(last.get(partition, ""), format_instant(sent[-1].stamp_ms))
    play.judge = Judge([AFTER], "edited", GRACE_MS, MOST_BEHIND_MS, sent=play.judge.sent)
    await play.stage.until(lambda: is_settled(play), "the new version is ready everywhere")

    async def knows(process: Worker, name: str) -> bool:
        status, body = await process.get(f"/v1/users/{name}/audiences")
        wanted = last[partition_of(name, PARTITIONS)]
        return status == 200 and body.get("records_as_of", body["at"]) >= wanted

    for process in play.stage.running():
        for name in USERS:
            await play.stage.until(partial(knows, process, name), f"{process.name} knows all of {name}")
            assert await play.ask_of(process, [name])

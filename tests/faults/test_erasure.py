"""A user is erased while the worker is killed and records still come: nothing but the receipt is found."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from agents.kafka.broker import Broker
from agents.kafka.placement import partition_of
from agents.topics.plan import TopicPlan
from app.worker.erasing.request import ask_erasure
from tables.erased import pseudonym
from tables.store import RocksMemory, RocksStore
from tests.stage.commands import run_beside
from tests.stage.log import Line
from tests.stage.readers import reader_of
from tests.stage.scene import Scene, scene

USER = "ann-who-wants-to-be-forgotten"
FIRST, SECOND, BOBS = "first@example.com", "second@example.com", "bob@example.com"
SEEN = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"
BOTH = """
audiences:
  - {id: seen, name: Seen, rule: {event: view}}
  - {id: rich, name: Rich, rule: {any: [{attribute: cents, gte: 1}, {event: view, count: {gte: 2}}]}}
"""


def line(user: str, body: dict[str, object]) -> Line:
    return Line(int(time.time() * 1000), user.encode(), json.dumps({"user_id": user, **body}).encode())


async def send(stage: Scene, user: str, *bodies: dict[str, object]) -> None:
    await stage.send(partition_of(user, stage.partitions), [line(user, each) for each in bodies])


async def command(stage: Scene, *words: str) -> str:
    """What ``turnstile`` prints, asked of the worker."""
    worker = stage.workers[0]
    done = await run_beside(*words, "--json", "--url", worker.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def places_of(stage: Scene, erasure: str) -> dict[str, str | None]:
    """When each place is clean."""
    _, receipt = await stage.workers[0].get(f"/v1/erasures/{erasure}")
    return {each["place"]: each["clean_at"] for each in receipt["places"]}


async def live_bytes(stage: Scene) -> bytes:
    """All that topics of ours hold that are compacted, as compaction leaves it."""
    found: list[bytes] = []
    for topic, partitions in [
        (stage.changelog, stage.partitions),
        (f"{stage.prefix}.identities", stage.partitions),
        (f"{stage.prefix}.erasures", 1),
        (f"{stage.prefix}.progress", 1),
    ]:
        stage.counts[topic] = partitions
        last = {(each.partition, each.key): each for each in await stage.read(topic)}
        found += [repr((each.key, each.value, each.headers)).encode() for each in last.values() if each.value]
    return b"\n".join(found)


def files_with(word: bytes, *folders: Path) -> list[str]:
    """The files that hold a word, as it is or in hexadecimal digits."""
    while True:
        try:
            paths = [
                Path(place, name) for each in folders for place, _, names in os.walk(each) for name in names
            ]
            contents = {str(path): path.read_bytes() for path in paths}
        except FileNotFoundError:  # a store that is in use has replaced it meanwhile
            continue
        is_in = re.compile(b"|".join(map(re.escape, (word, word.hex().encode()))), re.IGNORECASE)
        return [path for path, content in contents.items() if is_in.search(content)]


def stored_bytes(folder: Path) -> bytes:
    """All that the stores hold, as it is read: files may be packed."""
    found: list[object] = []
    for path in [*folder.glob("*-profiles-changelog-*"), *folder.glob("*.identities-*")]:
        store = RocksStore(path, RocksMemory.of(8 << 20, 8 << 20))
        found.append((store.scan(b"", 1000), store.notes(), store.timers(0, 1 << 60, 1000), store.sizes()))
        store.close()
    return repr(found).encode()


async def test_nothing_of_an_erased_user_is_found(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(SEEN)
        worker = stage.worker(worker__id="w1")
        worker.start()
        await worker.wait_ready()
        cents: dict[str, object] = {"type": "profile", "set": {"cents": 77_777}}
        first, second = ({"event": "view", "identities": {"email": each}} for each in (FIRST, SECOND))
        await send(stage, USER, first, cents, second)
        await send(stage, "bob", {"event": "view"}, {"event": "view", "identities": {"email": BOBS}}, cents)
        await stage.reach(2)
        await stage.until(lambda: stage.is_past(f"{stage.prefix}.identities", 3), "all is claimed")

        worker.kill()
        await send(stage, USER, {"event": "view"}, cents)  # on its way when the request is made
        plan = TopicPlan(stage.prefix, stage.prefix, [stage.events])
        asked = await ask_erasure(Broker(kafka), stage.admin, plan, stage.partitions, "default", USER)
        worker.start()
        erasures = f"{stage.prefix}.erasures"
        stage.counts[erasures] = 1
        await stage.until(lambda: stage.is_past(erasures, 1), "the receipt is written")
        worker.kill()  # perhaps before the exit is out, surely before the row is buried
        worker.start()
        await worker.wait_ready()
        receipt = json.loads(await command(stage, "erasures", "show", asked.id))
        assert receipt["user"] == pseudonym(USER.encode()).hex()
        places = {each["place"]: each["clean_at"] for each in receipt["places"]}
        assert f"topic {stage.changelog}" in places
        assert places["row, members, timers, identities, event ids"] == receipt["erased_at"]

        await stage.define(BOTH)  # the new one is computed from the whole log

        async def ready() -> bool:
            status, body = await worker.get("/v1/audiences/rich/members/bob")
            return status == 200 and body["member"] and await worker.is_quiet()

        await stage.until(ready, "rich is ready", 60)
        await stage.finished()
        assert (await worker.get(f"/v1/users/{USER}"))[0] == 404
        moves = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        mine = [(each["seq"], each["event"], each["cause"]) for each in moves if each["user_id"] == USER]
        assert mine == [(1, "enter", "event"), (2, "exit", "delete")]

        async def is_clean() -> bool:
            live = await live_bytes(stage)
            return not any(each.encode() in live for each in (USER, FIRST, SECOND))

        await stage.until(is_clean, "the row is buried and the identities are forgotten", 30)

        async def says_clean() -> bool:
            return bool((await places_of(stage, asked.id))["files of the partition's store"])

        await stage.until(says_clean, "the receipt says that the files are clean", 60)
        rows = list(worker.data.glob("*-profiles-changelog-*"))
        assert [files_with(each.encode(), *rows) for each in (USER, FIRST, SECOND)] == [[], [], []]

        async def are_identities_clean() -> bool:
            return not any(files_with(each.encode(), worker.data) for each in (USER, FIRST, SECOND))

        await stage.until(are_identities_clean, "the files of identities are clean", 60)
        worker.stop()
        assert len(files_with(BOBS.encode(), worker.data)) > 1, "in the row and among the claims"
        assert not any(files_with(each.encode(), worker.data) for each in (USER, FIRST, SECOND))
        stored = stored_bytes(worker.data)
        assert stored.count(BOBS.encode()) > 1
        assert not any(each.encode() in stored for each in (USER, FIRST, SECOND))
        assert BOBS.encode() in await live_bytes(stage)
        assert receipt["user"].encode() in await live_bytes(stage)


async def test_what_was_known_is_gone_although_the_user_goes_on(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A producer's own record erases; the worker is killed, and a reader follows."""
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(SEEN)
        worker, reader = stage.worker(), reader_of(stage)
        worker.start()
        await worker.wait_ready()
        reader.start()
        old: dict[str, object] = {"type": "profile", "set": {"note": FIRST, "cents": 5}}
        view: dict[str, object] = {"event": "view"}
        await send(stage, USER, view, old, view)
        await send(stage, "bob", view, {"type": "profile", "set": {"note": BOBS}})
        await stage.reach(2)
        await stage.until(worker.is_quiet, "the rows are in the store")
        worker.stop()  # which brings them to files
        assert files_with(FIRST.encode(), worker.data)
        worker.start()
        await send(stage, USER, view, {"type": "delete"}, {"event": "view", "note": 1})
        worker.kill()
        await send(stage, USER, {"type": "profile", "set": {"note": SECOND}}, view)
        worker.start()
        await worker.wait_ready()
        await stage.define(BOTH)  # computed from the whole log

        async def is_back() -> bool:
            status, body = await worker.get(f"/v1/users/{USER}/audiences")
            inside = {each["id"] for each in body["audiences"]} if status == 200 else set()
            return inside == {"seen", "rich"} and await worker.is_quiet()

        await stage.until(is_back, "the user is a new one, who viewed twice", 60)
        await stage.until(stage.is_committed, "all is taken")
        outcome = await stage.outcome()  # which refuses ids that come with another body
        moves = [json.loads(each) for each in outcome.bodies.values()]
        mine = sorted(
            (each["seq"], each["event"], each["cause"]) for each in moves if each["user_id"] == USER
        )
        seen = [each for each in mine if each[2] != "backfill"]
        assert seen == [(1, "enter", "event"), (2, "exit", "delete"), (3, "enter", "event")]

        receipt = json.loads(await command(stage, "erasures", "of", USER))
        assert receipt["requests"] == [receipt["id"]]
        assert receipt["id"].startswith(f"{stage.events}-")

        async def is_clean() -> bool:
            files = files_with(FIRST.encode(), worker.data, reader.data)
            return not files and FIRST.encode() not in await live_bytes(stage)

        await stage.until(is_clean, "nothing of the first life is in files", 60)

        async def says_clean() -> bool:
            return bool((await places_of(stage, receipt["id"]))["files of the partition's store"])

        await stage.until(says_clean, "the receipt says so", 30)
        reader.stop()
        worker.stop()
        assert not files_with(FIRST.encode(), worker.data, reader.data)
        assert files_with(BOBS.encode(), reader.data)
        assert SECOND.encode() in await live_bytes(stage)


async def test_the_command_erases_and_prints_the_receipt(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(SEEN)
        worker = stage.worker()
        worker.start()
        await worker.wait_ready()
        named: dict[str, object] = {"event": "view", "identities": {"email": FIRST}}
        await send(stage, USER, named)
        await stage.reach(1)
        receipt = json.loads(await command(stage, "erase", USER, "--wait"))
        assert receipt["partition"] == partition_of(USER, 2)
        await send(stage, USER, named)
        await stage.reach(3)
        moves = [json.loads(each) for each in (await stage.outcome()).bodies.values()]
        found = [(each["seq"], each["event"], each["cause"]) for each in moves]
        assert found == [(1, "enter", "event"), (2, "exit", "delete"), (3, "enter", "event")]

        async def is_found() -> bool:
            """By the identity that the user has claimed again, for good: also after the erasure's records."""
            _, body = await worker.post("/v1/identities:resolve", {"identities": [{"email": FIRST}]})
            live = await live_bytes(stage)
            return body["identities"][0]["user_id"] == USER and FIRST.encode() in live

        await stage.until(is_found, "who comes back is found again")

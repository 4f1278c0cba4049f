"""A worker dies, and another one goes on from its standbys: right, and with nothing to restore."""

from __future__ import annotations

import re
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.stage.log import AHEAD_MS, TAKES_AHEAD, make_log
from tests.stage.scene import scene
from tests.stage.workers import Worker

RECORDS = 3_000


async def test_a_worker_takes_partitions_over_without_restoring_them(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    # Workers may be at its end while it is written. Idle clocks follow the wall, so the log lies ahead of it.
    log = make_log(7, RECORDS, 300, start_ms=AHEAD_MS)
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        await stage.define()
        # The second one is asked before the group notices that the first one is dead.
        settings = {"worker__standbys": 1, "kafka__session_timeout_ms": 12_000, **TAKES_AHEAD}
        first, second = (stage.worker(name, **settings) for name in ("w1", "w2"))
        first.start()
        second.start()
        await stage.until(lambda: each_keeps_what_the_other_owns(first, second), "both have standbys")
        await stage.load(log)
        await stage.finished()

        async def has_followed() -> bool:
            return set((await standbys(second)).values()) == {0}

        await stage.until(has_followed, "the standbys are at the ends of their changelogs")
        before = await restored_rows(second)
        owned = set((await first.get("/readyz?verbose"))[1]["partitions"])
        orphans = [each for each in log.users if partition_of(each, stage.partitions) in owned]
        first.kill()
        await is_answered_by_a_standby(second, orphans[:20])
        await stage.until(second.owns_all(stage.partitions), "the second worker has all partitions")
        assert await restored_rows(second) - before < 50, "rows were restored, and not taken over"
        assert not second.logged("store_broken")
        await stage.finished()
        await stage.assert_right(log)


async def each_keeps_what_the_other_owns(*workers: Worker) -> bool:
    owned, kept = set(), set()
    for worker in workers:
        status, body = await worker.get("/readyz?verbose")
        if status != 200 or not body["partitions"] or not body["standbys"]:
            return False
        owned |= set(body["partitions"])
        kept |= set(map(int, body["standbys"]))
    return owned == kept


async def is_answered_by_a_standby(worker: Worker, users: list[str]) -> None:
    """Before the group knows that their owner is dead."""
    named = [{"user_id": each} for each in users]
    status, body = await worker.post("/v1/lookup", {"users": named})
    assert status == 200
    answered = [each["status"] for each in body["users"] if each.get("reader") and each["behind_ms"] >= 0]
    assert answered == ["ok"] * len(users), body
    for user_id in users[:3]:
        status, body = await worker.get(f"/v1/users/{user_id}/audiences")
        assert (status, body.get("reader")) == (200, True), body
    status, body = await worker.get(f"/v1/users/{users[0]}")
    assert (status, body.get("reader")) == (200, True), body


async def standbys(worker: Worker) -> dict[str, int]:
    found: dict[str, int] = (await worker.get("/readyz?verbose"))[1]["standbys"]
    return found


async def restored_rows(worker: Worker) -> float:
    _, text = await worker.get("/metrics")
    found = re.search(r"^turnstile_restored_rows (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0

"""Workers with TLS: each asks the other for what it doesn't own, and checks whom it asks."""

from __future__ import annotations

from pathlib import Path

from agents.placement import partition_of
from tests.certificates import Authority
from tests.faults.scene import scene
from tests.faults.workers import Worker


async def test_workers_ask_each_other_over_tls(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    cert, key = authority.issue(tmp_path, "127.0.0.1")
    files = {"cert": str(cert), "key": str(key), "ca": str(authority.file)}
    tls = {f"http__tls_{name}_file": file for name, file in files.items()}
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define("audiences: [{id: ever, name: Ever, rule: {event: view}}]")
        first, second = stage.worker("w1", **tls), stage.worker("w2", **tls)
        for worker in (first, second):
            worker.start()

        async def both_own() -> bool:
            answers = [await each.get("/readyz?verbose") for each in (first, second)]
            return all(status == 200 and len(body["partitions"]) == 1 for status, body in answers)

        await stage.until(both_own, "both own a partition")
        assert first.url.startswith("https://")
        users = [next(f"u{n}" for n in range(99) if partition_of(f"u{n}", 2) == each) for each in (0, 1)]

        async def statuses(worker: Worker) -> set[int]:
            return {(await worker.get(f"/v1/users/{name}/audiences"))[0] for name in users}

        assert await statuses(first) == await statuses(second) == {200}
        # The one who asks doesn't trust the other's authority any more.
        first.stop()
        first.start(http__tls_ca_file=str(other.file))
        first.settings["http.tls_ca_file"] = str(authority.file)
        await stage.until(both_own, "both own a partition once more")
        assert await statuses(first) == {200, 503}

"""Workers with TLS: each asks the other for what it doesn't own, and checks whom it asks."""

from __future__ import annotations

from pathlib import Path

from agents.kafka.placement import partition_of
from tests.certificates import Authority
from tests.stage.scene import scene
from tests.stage.workers import Worker


async def test_workers_ask_each_other_over_tls(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    cert, key = authority.issue(tmp_path, "127.0.0.1")
    tls = {"http__tls_cert_file": str(cert), "http__tls_key_file": str(key)}
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define("audiences: [{id: ever, name: Ever, rule: {event: view}}]")
        trusting = stage.worker("w1", **tls, http__tls_ca_file=str(authority.file))
        wary = stage.worker("w2", **tls, http__tls_ca_file=str(other.file))
        for worker in (trusting, wary):
            worker.start()
            worker.settings["http.tls_ca_file"] = str(authority.file)  # whom the test trusts from now on

        async def both_own() -> bool:
            answers = [await each.get("/readyz?verbose") for each in (trusting, wary)]
            return all(status == 200 and len(body["partitions"]) == 1 for status, body in answers)

        await stage.until(both_own, "both own a partition")
        assert trusting.url.startswith("https://")
        users = [next(f"u{n}" for n in range(99) if partition_of(f"u{n}", 2) == each) for each in (0, 1)]

        async def statuses(worker: Worker) -> list[int]:
            return sorted([(await worker.get(f"/v1/users/{name}/audiences"))[0] for name in users])

        assert await statuses(trusting) == [200, 200]
        # The other has a good certificate, too, but not from an authority that this one trusts.
        assert await statuses(wary) == [200, 503]

"""The same log gives the same transitions, whatever comes in one poll, and without Kafka, too."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from rules.time.instants import format_instant
from tests.stage.log import DEFINITIONS, make_log
from tests.stage.scene import scene
from tests.stage.workers import COMMAND, environment

SEED = 31


async def test_poll_sizes_and_simulate_give_the_same_bytes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = make_log(SEED, records=3_000, users=300, partitions=1, bad=0)
    found: dict[str, list[bytes]] = {}
    for poll_records in (1, 7, 5000):
        folder = tmp_path / str(poll_records)
        folder.mkdir()
        async with scene(kafka, f"{topic_prefix}-{poll_records}", folder, partitions=1) as stage:
            await stage.define()
            await stage.load(log)
            worker = stage.worker(worker__poll_records=poll_records)
            worker.start()
            await stage.finished()
            worker.stop()
            found[str(poll_records)] = sorted((await stage.outcome()).bodies.values())
    (tmp_path / "audiences.yaml").write_text(DEFINITIONS)
    lines = [{"timestamp": line.timestamp, **json.loads(line.value or b"")} for line in log.parts[0]]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = ["--audiences", str(tmp_path / "audiences.yaml"), "--events", str(tmp_path / "events.jsonl")]
    until = ["--until", format_instant(int(time.time() * 1000))]
    found["simulate"] = sorted(_run("simulate", *files, *until).splitlines())
    assert len(found["simulate"]) > 1000
    for name, bodies in found.items():
        assert bodies == found["simulate"], name


def _run(*arguments: str) -> bytes:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, env=environment({}), capture_output=True, check=True, timeout=300).stdout

"""Far more transitions than one changelog record takes, in a changelog with the broker's default limit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agents.kafka.placement import partition_of
from app.kafka.embedded import start_tied
from tables.changelog.format import is_row
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY
from tests.stage.log import START_MS, Line, Log
from tests.stage.scene import scene
from tests.stage.workers import environment

EVENTS = 5_000
LASTS = "\n".join(
    f"  - {{id: last{number}, name: Last {number}, rule: {{event: view, last: {{property: page, eq: x}}}}}}"
    for number in range(10)
)
JOINS = "\n".join(
    f"  - {{id: join{number}, name: Join {number}, rule: {{event: join, count: {{gte: 1}}}}}}"
    for number in range(1_500)
)
DEFINITIONS = f"audiences:\n{LASTS}\n{JOINS}"


HELD = """
import asyncio
from agents.evaluate.outputs import Outputs
from app.main import main
async def never(self):
    while self._lots: await asyncio.sleep(1)
Outputs.send = never
main(["worker"])
"""
"""A worker that comes as far as its changelog: killed then, it ends between changelog and outputs."""


def lines() -> list[Line]:
    """One user turns ten audiences around with each event; another one enters 1,500 with a single record."""
    found = []
    for number in range(EVENTS):
        properties = {"page": "xy"[number % 2], "text": "z" * 280}
        body = {"user_id": "ann", "event": "view", "id": f"e{number}", "properties": properties}
        found.append(Line(START_MS + number, b"ann", json.dumps(body).encode()))
        if number == 500:
            body = {"user_id": "bob", "event": "join", "id": "j", "properties": {"text": "z" * 3_000}}
            found.append(Line(START_MS + number, b"bob", json.dumps(body).encode()))
    return found


async def test_any_number_of_transitions_survives_a_kill_between_changelog_and_outputs(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = Log([lines()], ["ann", "bob"])
    assert partition_of("ann", 1) == 0
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(DEFINITIONS)
        await stage.make(stage.changelog, 1, {"cleanup.policy": "compact"})
        await stage.load(log)
        worker = stage.worker(worker__id="w1")
        program = [sys.executable, "-c", HELD]
        worker.process = start_tied(program, worker.log_file, environment(worker.settings))

        async def is_written() -> bool:
            return await stage.total(stage.changelog) > 3

        await stage.until(is_written, "the first commit cycle is in the changelog")
        worker.kill()
        assert await stage.total(stage.transitions) == 0
        assert chunks(await stage.changelogs())
        worker.start()
        await stage.reach(15_000)
        worker.kill()
        worker.wipe()
        worker.start()
        await stage.finished()
        outcome = await stage.assert_right(log, DEFINITIONS)
        assert len(outcome.bodies) == 10 * EVENTS + 1_500
        worker.stop()
        reader = ChangelogReader()
        reader.read((await stage.changelogs())[0])
        assert (reader.unsent(), reader.used_slots) == ([], []), "chunks are left over"


def chunks(changelogs: dict[int, list]) -> int:  # type: ignore[type-arg]
    keys = [each.key for each in changelogs.get(0, [])]
    return sum(not is_row(key) and key != CHECKPOINT_KEY for key in keys)

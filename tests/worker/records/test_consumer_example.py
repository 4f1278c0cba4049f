"""The consumer of docs/consumers.md, as it stands there: repeats, a kill, once more from the beginning."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.evaluate.transitions import encode_transition
from agents.topics import create_topics
from rules.state.row import Transition
from tests import ROOT

PAGE = (ROOT / "docs/consumers.md").read_text(encoding="utf-8")
START_MS = 1_760_000_000_000


def turned(user: str, seq: int, audience: str = "big") -> Transition:
    at_ms = START_MS + seq
    return Transition("default", audience, "Big", 1, user, seq, at_ms, "event", None, at_ms, None)


# Ann: a repeat at once, and one that comes after later ones. Bob is in another audience, too.
CHANGES = [("ann", 1), ("ann", 1), ("bob", 1), ("ann", 2), ("ann", 1), ("ann", 2), ("ann", 3), ("bob", 2)]
TRANSITIONS = [*(turned(*each) for each in CHANGES), turned("bob", 1, "small")]
TOLD = ["enter ann big", "enter bob big", "exit ann big", "enter ann big", "exit bob big", "enter bob small"]
ROWS: set[tuple[object, ...]] = {
    ("big", "ann", 3, "enter"),
    ("big", "bob", 2, "exit"),
    ("small", "bob", 1, "enter"),
}

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Start the example with a group of this name."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    started: list[subprocess.Popen[str]] = []

    def run(group: str) -> subprocess.Popen[str]:
        assert "my-service" in code
        script = tmp_path / f"{group}.py"
        script.write_text(code.replace("my-service", f"{topic_prefix}-{group}"))
        words = [sys.executable, str(script), broker, topic_prefix, str(tmp_path / "members.db")]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for each in started:
        each.kill()
        each.wait()
        assert each.stdout is not None
        each.stdout.close()


def told(consumer: subprocess.Popen[str], lines: int) -> list[str]:
    assert consumer.stdout is not None
    return [consumer.stdout.readline().strip() for _ in range(lines)]


async def written(folder: Path, rows: set[tuple[object, ...]]) -> None:
    """Wait until the consumer's table has these rows, for everybody to see."""
    async with asyncio.timeout(60):
        while True:
            with closing(sqlite3.connect(folder / "members.db")) as table:
                if set(table.execute("SELECT audience, user_id, seq, event FROM memberships")) == rows:
                    return
            await asyncio.sleep(0.1)


async def test_the_example_acts_once_on_every_change(
    broker: str, topic_prefix: str, tmp_path: Path, start: Start
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await create_topics(admin, {topic_prefix: (1, {})}, 1)
    await admin.close()

    async def send(*transitions: Transition) -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            for each in transitions:
                value, headers = encode_transition(each)
                await producer.send_and_wait(topic_prefix, value, each.user_id.encode(), headers=headers)

    await send(*TRANSITIONS)
    first = start("a")
    assert told(first, len(TOLD)) == TOLD
    await written(tmp_path, ROWS)
    first.kill()

    # From the earliest offset, with the table as it is: only what is new is acted on.
    await send(turned("zoe", 1))
    again = start("b")
    assert told(again, 1) == ["enter zoe big"]
    await written(tmp_path, {*ROWS, ("big", "zoe", 1, "enter")})

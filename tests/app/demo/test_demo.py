"""`turnstile demo` from its start to its end, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from app.demo.halfway import HALFWAY
from app.demo.needs import HTTP_PORT, PORTS_TRIED, load_audiences
from app.demo.purchases import end_of_log, load_purchases, regular_customer
from tests import ROOT
from tests.app.demo.figures import AUDIENCES, figures

START_SECONDS = 60.0
STOP_SECONDS = 60.0
"""Far more than it takes, for busy machines."""


class Demo:
    """A demo in a subprocess, its output in lines."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.main", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    def read_until(self, start: str) -> str:
        """Up to the line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(start):
                return line
        raise AssertionError(f"no line begins with {start!r}:\n" + "\n".join(self.lines))

    def end(self) -> int:
        """Read what is left, and wait."""
        assert self.process.stdout is not None
        self.lines += [line.rstrip() for line in self.process.stdout]
        return self.process.wait(STOP_SECONDS)

    def children(self) -> list[int]:
        """Processes that this one started, directly or not."""
        parents: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found - {self.process.pid})

    def figures(self) -> dict[str, tuple[int, int, int]]:
        """Members, enters and exits per audience, from the summary, which has their names."""
        ids = {each.name: each.id for each in load_audiences()}
        rows = (re.split(r"\s{2,}", line) for line in self.lines)
        return {
            ids[row[0]]: (_number(row[1]), _number(row[2]), _number(row[3]))
            for row in rows
            if len(row) == 4 and row[0] in ids
        }


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def run(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments))
        return started[-1]

    yield run
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until_gone(pids: list[int]) -> None:
    """The kernel ends them with their parent, a moment after it."""
    deadline = time.monotonic() + STOP_SECONDS
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, pids
        time.sleep(0.02)


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def test_figures_probes_and_one_ctrl_c(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--plain", "--max", "--customers", "300", "--port", "0", "--keep")
    url = demo.read_until("ready after").split()[-1]
    demo.read_until("Ctrl-C ends the demo")

    purchases, end_ms = load_purchases(300), end_of_log(None)
    expected = figures(purchases, end_ms)
    # One is published halfway. Whoever left it before that never entered it.
    middle_ms = (852_076_800_000 + end_ms) // 2
    before = figures(purchases, middle_ms)
    arrived = len(before.members[HALFWAY])
    assert arrived > 0
    expected.enters[HALFWAY] -= before.enters[HALFWAY] - arrived
    expected.exits[HALFWAY] -= before.exits[HALFWAY]
    assert demo.figures() == {
        name: (len(expected.members[name]), expected.enters[name], expected.exits[name]) for name in AUDIENCES
    }
    text = "\n".join(demo.lines)
    assert (
        f"Big spenders was published halfway, on 1997-10-01, and arrived with its {arrived} members" in text
    )
    assert f"{len(purchases):,} purchases of 300 customers, 1997-01-01 to 1998-06-30" in text
    assert f"{expected.transitions:,} transitions, numbered without a gap; 0 dead letters" in text

    # Lookups answer as of the log's end, for anyone, and agree with the same figures.
    customer = regular_customer(purchases)
    answer = get(f"{url}/v1/users/{customer}/audiences")
    assert isinstance(answer, dict)
    assert answer["at"] == "1998-07-01T00:00:00.000Z"
    inside = {name for name in AUDIENCES if customer in expected.members[name]}
    assert {each["id"] for each in answer["audiences"]} == inside
    lapsed = min(expected.members["lapsed"])
    member = get(f"{url}/v1/audiences/lapsed/members/{lapsed}")
    assert isinstance(member, dict)
    assert member["member"] is True

    children = demo.children()
    assert children or sys.platform != "linux"
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    until_gone(children)
    assert list(demo.folder.iterdir()) == []


def test_it_ends_by_itself_where_nobody_watches(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--speed", "40", "--customers", "200", "--until", "1997-04-01", "--port", "0")
    assert demo.end() == 0
    purchases = load_purchases(200, date(1997, 4, 1))
    expected = figures(purchases, end_of_log(date(1997, 4, 1)))
    assert {name: each[1:] for name, each in demo.figures().items() if name != HALFWAY} == {
        name: (expected.enters[name], expected.exits[name]) for name in AUDIENCES if name != HALFWAY
    }
    assert any(line.startswith("The log ended. It is 1997-04-01") for line in demo.lines)
    assert list(demo.folder.iterdir()) == []


def test_ctrl_c_in_the_middle_sums_up_what_was(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--plain", "--speed", "5", "--customers", "200", "--port", "0")
    demo.read_until("1997-01-1")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    assert any(line.startswith("Stopped on 1997-") for line in demo.lines)
    assert demo.figures()["new_buyers"][1] > 0


def test_a_second_ctrl_c_ends_it_at_once(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--plain", "--customers", "50", "--port", "0")
    demo.read_until("starting the worker")
    children = demo.children()
    demo.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    demo.process.send_signal(signal.SIGINT)
    # 0: the first was quick enough. -SIGINT: the second met a Python that had given its handlers back.
    assert demo.end() in (0, 130, -signal.SIGINT)
    until_gone(children)
    assert list(demo.folder.iterdir()) == []


def test_ctrl_c_while_it_starts(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--plain", "--customers", "50", "--port", "0")
    demo.read_until("starting the worker")
    children = demo.children()
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    assert demo.lines[-1] == "stopped"
    until_gone(children)
    assert list(demo.folder.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="finds the broker in /proc")
def test_a_broker_that_dies_ends_it(embedded: str, start: Callable[..., Demo]) -> None:
    demo = start("--plain", "--customers", "50", "--port", "0")
    demo.read_until("ready after")
    for pid in demo.children():
        os.kill(pid, signal.SIGKILL)
    assert demo.end() == 1
    assert any(line.startswith("the broker ended: ") for line in demo.lines)
    assert list(demo.folder.iterdir()) == []


async def test_nothing_of_it_stays_on_a_broker_of_its_users(broker: str, start: Callable[..., Demo]) -> None:
    async def left() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        try:
            return [each for each in await admin.list_topics() if each.startswith("turnstile-demo-")]
        finally:
            await admin.close()

    demo = start("--broker", broker, "--customers", "5", "--max", "--no-keep", "--port", "0")
    assert await asyncio.to_thread(demo.end) == 0
    async with asyncio.timeout(60):
        while await left():
            await asyncio.sleep(0.1)


def test_a_port_that_is_taken_while_the_demo_starts_is_told_in_a_line(
    embedded: str, start: Callable[..., Demo]
) -> None:
    demo = start("--plain", "--customers", "5")
    demo.read_until("starting a broker")
    with ExitStack() as others:
        for port in range(HTTP_PORT, HTTP_PORT + PORTS_TRIED):
            with suppress(OSError):
                other = others.enter_context(socket.socket())
                other.bind(("127.0.0.1", port))
                other.listen()
        assert demo.end() == 2
    assert "another process listens on 127.0.0.1:" in demo.lines[-1]
    assert list(demo.folder.iterdir()) == []


@pytest.mark.slow
def test_what_is_wrong_is_told_in_a_line(start: Callable[..., Demo]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        taken = start("--port", port)
        nobody = start("--broker", "127.0.0.1:1", "--customers", "5", "--port", "0")
        early = start("--until", "1996-12-31")
        assert [taken.end(), nobody.end(), early.end()] == [2, 2, 2]
    assert taken.lines[-1] == f"--port: {port} on 127.0.0.1 can't be used; another program may have it"
    assert nobody.lines[-1] == "Kafka at 127.0.0.1:1 can't be used: no broker answers there"
    assert early.lines[-1] == "--until: there is no purchase before 1996-12-31"
    assert list(taken.folder.iterdir()) == []

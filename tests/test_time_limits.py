"""A hang in a test, in a fixture or in a thread ends the session, with the test's name."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow

HANGS = """
import asyncio, subprocess, sys, threading, time
import pytest

async def test_task():
    async def stuck():
        await asyncio.Event().wait()
    await asyncio.create_task(stuck())

@pytest.fixture
def hanging():
    yield
    threading.Event().wait()

def test_fixture(hanging):
    pass

async def test_thread():
    child = subprocess.Popen(["sleep", "98765"], stdout=subprocess.PIPE)
    await asyncio.to_thread(child.communicate)
"""
WAITS = """
import pathlib, time

def test_waits():
    pathlib.Path(__file__).with_name("began").touch()
    time.sleep(60)
"""


def start(folder: Path, tests: str) -> subprocess.Popen[str]:
    (folder / "test_hangs.py").write_text(tests)
    (folder / "short_limits.py").write_text("from tests import time_limits\ntime_limits.LAST_SECONDS = 6.0\n")
    plugins = ["-p", "short_limits", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    several = ["-n", "2", "--max-worker-restart=0"]
    limit = ["-o", "timeout=3", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *plugins, *several, *limit, str(folder / "test_hangs.py")],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def test_each_hang_is_a_failure_with_a_name_and_leaves_no_process(tmp_path: Path) -> None:
    said, _ = start(tmp_path, HANGS).communicate(timeout=120)
    assert re.search(r"FAILED .*::test_task - Failed: Timeout", said), said
    assert re.search(r"ERROR .*::test_fixture - Failed: Timeout", said), said
    assert re.search(r"FAILED .*::test_thread - worker 'gw\d' crashed", said), said
    assert said.count("Timeout (0:00:0") == 1, "only the process with the thread was ended"
    assert "in stuck" in said, "where the task was"
    assert "in communicate" in said, "where the thread was"
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x0098765" in read(each)]


def test_what_ran_is_told_when_somebody_ends_the_session(tmp_path: Path) -> None:
    process = start(tmp_path, WAITS)
    deadline = time.monotonic() + 60
    while not (tmp_path / "began").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)  # the leading process hears of it
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert re.search(r"SIGTERM while it ran for \d+ s: .*::test_waits", said), said
    assert "Traceback" not in said


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

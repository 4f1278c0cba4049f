"""Processes that are forked rather than started are processes of their own (``tests.stage.forks``)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import ROOT
from tests.stage.forks import Forked, end_nurseries, start_forked
from tests.stage.workers import environment

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are started"),
    pytest.mark.xdist_group("forks"),
]


@pytest.fixture(scope="module", autouse=True)
def nurseries() -> Iterator[None]:
    yield
    end_nurseries()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Where a broker would listen."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(60)
        yield made


def fork(log: Path, *arguments: str, **settings: object) -> Forked:
    return start_forked(arguments, log, environment(settings))


def test_what_is_forked_writes_to_its_log_and_ends_with_its_code(tmp_path: Path) -> None:
    shown, refused = (fork(tmp_path / name, name) for name in ("settings", "wrong"))
    assert (shown.wait(60), refused.wait(60)) == (0, 2)
    assert "localhost:9092  # default" in (tmp_path / "settings").read_text()
    assert "No such command 'wrong'" in (tmp_path / "wrong").read_text()
    assert (shown.poll(), refused.returncode) == (0, 2)


def test_it_has_the_environment_that_it_was_given_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", "ours")
    given = fork(tmp_path / "given", "settings", **{"kafka.bootstrap": "given:9092"})
    bare = fork(tmp_path / "bare", "settings")
    assert (given.wait(60), bare.wait(60)) == (0, 0)
    shown = (tmp_path / "given").read_text()
    assert "given:9092" in shown
    assert "ours" not in shown
    assert "given:9092" not in (tmp_path / "bare").read_text()


def worker_of(log: Path, port: int) -> Forked:
    """A worker that looks for a broker at a port of loopback."""
    return fork(log, "worker", **{"kafka.bootstrap": f"127.0.0.1:{port}", "worker.data_dir": str(log.parent)})


def waiting(log: Path, silent: socket.socket) -> Forked:
    """One that waits for the broker's answer."""
    forked = worker_of(log, silent.getsockname()[1])
    silent.accept()[0].detach()  # it has come so far, and nobody closes the connection
    return forked


def until(holds: object) -> None:
    deadline = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_signals_reach_it_and_it_has_a_session_of_its_own(tmp_path: Path, silent: socket.socket) -> None:
    forked = waiting(tmp_path / "log", silent)
    assert os.getsid(forked.pid) == forked.pid
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.01)
    forked.kill()
    assert forked.wait(60) == -signal.SIGKILL
    forked.send_signal(signal.SIGTERM)  # to nobody


def test_two_in_turn_have_another_order_of_sets(tmp_path: Path, silent: socket.socket) -> None:
    one, other = waiting(tmp_path / "one", silent), waiting(tmp_path / "other", silent)
    mothers = {
        Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()[1] for each in (one, other)
    }
    assert len(mothers) == 2
    for each in (one, other):
        each.kill()
        each.wait(60)


FORKS_AND_WAITS = """
import sys, time
from pathlib import Path
from tests.test_forks import worker_of
print(worker_of(Path(sys.argv[1]), int(sys.argv[2])).pid, flush=True)
time.sleep(600)
"""


def test_none_outlives_the_process_that_asked_for_it(tmp_path: Path, silent: socket.socket) -> None:
    port = str(silent.getsockname()[1])
    command = [sys.executable, "-c", FORKS_AND_WAITS, str(tmp_path / "log"), port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as asking:
        assert asking.stdout is not None
        forked = int(asking.stdout.readline())
        silent.accept()[0].detach()
        os.kill(forked, signal.SIGSTOP)  # so that it can't end by itself
        asking.kill()
    try:
        until(lambda: is_gone(forked))
    finally:
        with suppress(ProcessLookupError):
            os.kill(forked, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True

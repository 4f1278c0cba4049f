"""A hang is a failure with a name: no test and no session goes on for ever.

1. pytest-timeout fails a test, its fixtures included, after ``timeout`` seconds (pyproject.toml). Its report
   shows where each thread and each asyncio task was.
2. What doesn't end even then (a thread that is joined, a fixture that waits for the same, a C library that
   keeps the interpreter's lock) ends its process LAST_SECONDS later. The process that leads the session then
   names the test as the one that crashed.
3. The leading process tells on SIGTERM which tests were running, and ends what processes left behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest

from tests.distribution import is_one_of_several

LAST_SECONDS = 150.0
"""For what must end after a test failed, or after the last one: fixtures, brokers, threads."""

SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER (prctl(2)): processes whose parent dies become our children, and can be found."""


class LastLimit:
    """In each process that runs tests. pytest's own timer (``faulthandler_timeout``) would stop at a failure,
    and then nothing bounded the fixtures' end."""

    def __init__(self, config: pytest.Config) -> None:
        self._test_seconds = float(config.getini("timeout") or 0)
        self._error = os.dup(2)  # tests capture the original

    def _arm(self, seconds: float) -> None:
        # A timer in C, which needs no interpreter that still runs; it writes all stacks.
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._error)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[object]:
        if self._test_seconds:
            self._arm(self._test_seconds + LAST_SECONDS)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self) -> None:
        self._arm(LAST_SECONDS)

    @pytest.hookimpl(trylast=True)
    def pytest_enter_pdb(self) -> None:
        faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
        report = yield
        if call.excinfo is not None and "Timeout (>" in str(call.excinfo.value):
            report.sections.append(("asyncio tasks", _tasks()))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._arm(LAST_SECONDS)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        if is_one_of_several(config):  # it waits now for the others' end, and pytest-xdist bounds its own
            faulthandler.cancel_dump_traceback_later()


class Lead:
    """In the process that hands out the tests."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._workers: set[int] = set()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
            threading.Thread(target=self._collect_orphans, daemon=True).start()
        signal.signal(signal.SIGTERM, self._terminated)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.pop(nodeid, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self._workers.add(node.gateway._io.popen.pid)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        for pid in _descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _collect_orphans(self) -> None:
        """As process 1 would: tests look whether a process is gone."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                ended = None
            if ended is None or ended.si_pid in self._workers:  # pytest-xdist waits for these itself
                time.sleep(0.5)
            else:
                os.waitpid(ended.si_pid, os.WNOHANG)

    def _terminated(self, number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # make and timeout send several, and the end is bounded
        now = time.monotonic()
        for test, since in self._running.items():
            os.write(2, f"\nSIGTERM while it ran for {now - since:.0f} s: {test}".encode())
        os.write(2, b"\n")
        raise KeyboardInterrupt


def watch(config: pytest.Config) -> None:
    """Bound the tests of this process, or those that it hands out."""
    leads = bool(getattr(config.option, "numprocesses", None)) and not is_one_of_several(config)
    config.pluginmanager.register(Lead() if leads else LastLimit(config))


def _tasks() -> str:
    """Where the tasks of the test's loop are: the loop outlives the exception that was raised in it."""
    shown = io.StringIO()
    with suppress(RuntimeError):
        for task in asyncio.all_tasks(asyncio.get_event_loop_policy().get_event_loop()):
            task.print_stack(file=shown)
    return shown.getvalue()


def _descendants() -> list[int]:
    """Processes that this one started, or that those did."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})

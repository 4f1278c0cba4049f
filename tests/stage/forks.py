"""Worker processes forked from a process that has the program in memory (``tests.stage.nursery``)."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.kafka.embedded import end_process, log_end, start_tied
from tests import ROOT

NURSERIES = 2
"""Taken in turn. Each has an order of sets of its own, so that a worker that starts again has another one."""
START_SECONDS = 90.0
INTERPRETER = ("PYTHONPATH", "PYTHONWARNINGS", "PATH", "LANG")
"""What Python and the C library read before the program begins: all processes have it alike."""


class Forked:
    """A process that was forked; what ``subprocess.Popen`` offers of it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], seconds)[0]:
            # Without a code the nursery is gone, and all that it had forked with it.
            self.returncode = int(_line(self._connection) or -signal.SIGKILL)
            self._connection.close()
        return self.returncode

    def __del__(self) -> None:
        self._connection.close()


class _Nursery:
    def __init__(self) -> None:
        self._name = f"turnstile-{uuid.uuid4().hex}"
        self._log = Path(tempfile.gettempdir()) / f"{self._name}.log"
        command = [sys.executable, "-m", "tests.stage.nursery", self._name]
        given = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        given |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
        self._given = given
        self._process = start_tied(command, self._log, given)

    def fork(
        self, arguments: Sequence[str], out: Path, errors: Path, environment: Mapping[str, str]
    ) -> Forked:
        differs = [each for each in INTERPRETER if environment.get(each) != self._given[each]]
        assert not differs, f"forked processes have the same {differs}"
        asked = {"arguments": arguments, "environment": environment, "out": str(out), "errors": str(errors)}
        connection = self._connected()
        connection.sendall(json.dumps(asked).encode() + b"\n")
        pid = _line(connection)
        assert pid, f"the nursery ended: {log_end(self._log)}"
        return Forked(connection, int(pid))

    def end(self) -> None:
        end_process(self._process, 1.0)
        self._log.unlink(missing_ok=True)

    def _connected(self) -> socket.socket:
        deadline = time.monotonic() + START_SECONDS
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect("\0" + self._name)
                return connection
            except ConnectionRefusedError:
                alive = self._process.poll() is None and time.monotonic() < deadline
                assert alive, f"the nursery doesn't answer: {log_end(self._log)}"
                time.sleep(0.02)


def _line(connection: socket.socket) -> bytes:
    """A number and its line end; nothing when the other side is gone."""
    found = b""
    while not found.endswith(b"\n"):
        more = connection.recv(1)
        if not more:
            return b""
        found += more
    return found


_nurseries: list[_Nursery] = []


def start_forked(
    arguments: Sequence[str], out: Path, environment: Mapping[str, str], errors: Path | None = None
) -> Forked:
    """Run ``turnstile`` with these arguments, or ``-m`` and a module of the tests with its own. It ends with
    this process, even when this one gets SIGKILL.

    What it prints is added to the file ``out``; errors go there, too, if no file is named for them.
    """
    # The kernel ends a nursery with the thread that started it (``app.kafka.embedded``).
    assert threading.current_thread() is threading.main_thread()
    if len(_nurseries) < NURSERIES:
        _nurseries.append(_Nursery())
    else:
        _nurseries.append(_nurseries.pop(0))
    return _nurseries[-1].fork(arguments, out, errors or out, environment)


def end_nurseries() -> None:
    """And all that they forked."""
    while _nurseries:
        _nurseries.pop().end()

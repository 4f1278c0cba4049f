"""The process that workers of tests are forked from: it has imported the program, and does nothing else.

A worker takes 1.3 s of processor time until it is ready, 1.1 of them for imports, and tests start hundreds.
What is forked is a process of its own, with a session, an environment and outputs of its own, that ends in
order as any interpreter does. ``tests.stage.forks`` starts this one and asks it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

PROGRAMS = ("app.cli", "app.worker.process", "app.serve.process", "app.deliver.service", "app.pushes.process")
PDEATHSIG = 1
"""PR_SET_PDEATHSIG (prctl(2)): the kernel ends us with the process that started us."""


class Nursery:
    """Listens on an abstract socket. A connection is one process: what to run comes in, its pid and its exit
    code go out."""

    def __init__(self, name: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind("\0" + name)
        self._listening.listen(64)
        self._children: dict[int, socket.socket] = {}
        self._ended, wake = socket.socketpair()
        self._wake = wake
        for each in (self._ended, wake):
            each.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def wait_born(self) -> list[str]:
        """Returns in each process that is forked, with its arguments; never in this one."""
        while True:
            ready, _, _ = select.select([self._listening, self._ended], [], [])
            if self._ended in ready:
                self._reap()
            if self._listening in ready and (arguments := self._fork()) is not None:
                return arguments

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            self._ended.recv(4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                connection = self._children.pop(ended[0])
                with connection, suppress(OSError):  # nobody may wait for it any more
                    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))

    def _fork(self) -> list[str] | None:
        connection, _ = self._listening.accept()
        with connection.makefile("rb") as asked:
            wanted = json.loads(asked.readline())
        mother = os.getpid()
        pid = os.fork()
        if pid == 0:
            connection.close()
            return self._born(wanted, mother)
        self._children[pid] = connection
        with suppress(OSError):
            connection.sendall(b"%d\n" % pid)
        return None

    def _born(self, wanted: dict[str, Any], mother: int) -> list[str]:
        """In the new process: nothing of the mother's is left but the modules."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._listening, self._ended, self._wake, *self._children.values()):
            each.close()
        os.setsid()
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != mother:
            os._exit(1)
        for number, path in ((1, wanted["out"]), (2, wanted["errors"])):
            written = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(written, number)
            os.close(written)
        os.environ.clear()
        os.environ.update(wanted["environment"])
        gc.enable()
        return list(wanted["arguments"])


def main() -> None:
    for each in PROGRAMS:
        __import__(each)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        sys.exit(f"{threads} threads run after the imports: a fork would lose all but one")
    from app.main import main as run

    gc.collect()
    gc.freeze()  # what is forked shares the memory, as long as the collector doesn't write into it
    arguments = Nursery(sys.argv[1]).wait_born()
    if arguments[:1] == ["-m"]:  # a program of the tests, which changes ours and runs it
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__")
        return
    sys.argv = ["turnstile", *arguments]
    run(arguments)


if __name__ == "__main__":
    main()

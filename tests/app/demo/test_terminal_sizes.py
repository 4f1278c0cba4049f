"""The demo on a real terminal of a given size: what somebody sees who watches it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

FRAME = "\x1b[H"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 60.0


class Terminal:
    """A demo on a terminal of its own."""

    def __init__(self, columns: int, rows: int, folder: Path, **environment: str) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {
            name: each for name, each in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.main", "demo", "--customers", "300", "--port", "0"],
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=ROOT,
            env={**kept, "TERM": "xterm-256color", "TMPDIR": str(folder), **environment},
            start_new_session=True,
        )
        os.close(other)
        self.shown = ""

    def frame_with(self, pattern: str) -> list[str]:
        """The lines of the first whole frame in which the pattern is."""
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends and self._read():
            for frame in self.shown.split(FRAME)[1:-1]:
                text = SEQUENCE.sub("", frame).replace("\r", "")
                if re.search(pattern, text):
                    return text.split("\n")
        raise AssertionError(f"no frame has {pattern!r}; the end: {self.shown[-2000:]}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        while self._read():
            pass
        os.close(self._main)
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        if not select.select([self._main], [], [], SECONDS)[0]:
            return False
        try:
            self.shown += os.read(self._main, 65_536).decode("utf-8", "replace")
        except OSError:  # nobody writes to it any more
            return False
        return True


@pytest.fixture(params=[(60, 20, {"NO_COLOR": "1"}), (80, 24, {}), (100, 20, {})], ids=["60", "80", "100"])
def terminal(request: pytest.FixtureRequest, embedded: str, tmp_path: Path) -> Iterator[Terminal]:
    columns, rows, environment = request.param
    terminal = Terminal(columns, rows, tmp_path, **environment)
    yield terminal
    terminal.process.kill()
    terminal.process.wait()


def test_transitions_legend_and_head_are_seen(
    terminal: Terminal, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    columns, rows, environment = request.node.callspec.params["terminal"]
    lines = terminal.frame_with(r"\d{5} (enter|exit) .*1997-")
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    assert "▁▄█ members over time" in text
    assert "Won back" in text
    assert "worker ready" in text
    assert "…" not in text
    assert terminal.end() == 0
    assert ("\x1b[32m" in terminal.shown) is (not environment)
    assert re.search(r"Good start, then quiet +\d", terminal.shown.rpartition("Stopped on")[2])
    assert list(tmp_path.iterdir()) == []

"""A command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess

from tests.stage.workers import COMMAND

SECONDS = 60


class Terminal:
    """A command whose three streams are a terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "xterm", "COLUMNS": "120"},
            start_new_session=True,
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, text: str) -> None:
        while text not in self.text:
            assert self._read(), f"{text!r} doesn't come:\n{self.text}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read what is left, and wait."""
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        """False at the end. Fails when nothing comes for long."""
        assert select.select([self._ours], [], [], SECONDS)[0], f"nothing more comes:\n{self.text}"
        try:
            read = os.read(self._ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.text += read.decode(errors="replace")
        return bool(read)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

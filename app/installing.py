"""Installs the locked packages for ``make venv``, and says what it is doing meanwhile.

Run as a script by the environment's own Python, before anything is installed: the standard library alone.
On a terminal one line counts on; in a log there is a line now and then. What pip says is shown if it fails.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

LOG_SECONDS = 15.0
TERMINAL_SECONDS = 0.2
INTERRUPTED = 130
_PACKAGE = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)
_FOUND = ("Collecting ", "Requirement already satisfied")
_UNPACKING = "Installing collected packages"


class Progress:
    """How far pip has come: packages found and downloaded, then packages unpacked."""

    def __init__(self, packages: int, site_packages: Path) -> None:
        self.packages = packages
        self.unpacking = False
        self._site_packages = site_packages
        self._found = 0
        self._before = self._installed()
        self._to_install = packages

    def take(self, line: str) -> None:
        """A line of pip's."""
        if line.startswith(_FOUND):
            self._found += 1
        elif line.startswith(_UNPACKING):
            self.unpacking = True
            self._to_install = line.count(",") + 1

    def __str__(self) -> str:
        if not self.unpacking:
            return f"downloading packages: {min(self._found, self.packages)} of {self.packages}"
        done = min(max(0, self._installed() - self._before), self._to_install)
        return f"installing packages: {done} of {self._to_install}"

    def _installed(self) -> int:
        return sum(1 for _ in self._site_packages.glob("*.dist-info"))


class Told:
    """Where progress is told: one line that is written over on a terminal, otherwise a line now and then."""

    def __init__(self, out: IO[str], log_seconds: float = LOG_SECONDS) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self.seconds = TERMINAL_SECONDS if self._is_terminal else log_seconds

    def now(self, text: str) -> None:
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r{text[:width]:{width}}")
        else:
            self._out.write(f"{text}\n")
        self._out.flush()

    def end(self, text: str) -> None:
        """The last line, which stays."""
        self.now(text)
        if self._is_terminal:
            self._out.write("\n")
            self._out.flush()


def install(lock: Path, pip: list[str], told: Told, site_packages: Path) -> int:
    """Install what the lock names; pip's exit code. ``pip`` is the command up to its options."""
    progress = Progress(len(_PACKAGE.findall(lock.read_text("utf-8"))), site_packages)
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            [*pip, "--progress-bar", "off", "--require-hashes", "-r", str(lock)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        reader = threading.Thread(target=_follow, args=(process, progress, said), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                told.now(f"{progress}, {time.monotonic() - started:.0f} s")
                reader.join(told.seconds)
        except KeyboardInterrupt:
            process.terminate()
            raise
        code = process.wait()
        if code:
            told.end(f"pip failed after {time.monotonic() - started:.0f} s")
            said.seek(0)
            sys.stderr.write(said.read())
        else:
            told.end(f"{progress.packages} packages are installed, after {time.monotonic() - started:.0f} s")
    return code


def _follow(process: subprocess.Popen[str], progress: Progress, said: IO[str]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            said.write(line)
            progress.take(line)


def main(lock: str) -> int:
    """The exit code of the script; ``lock`` is the file that names the packages."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    try:
        return install(Path(lock), pip, Told(sys.stdout), Path(sysconfig.get_path("purelib")))
    except KeyboardInterrupt:
        print("\nstopped; the next start goes on from here", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Child processes of a benchmark: ours to start, to ask and to end; none outlives the benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.kafka.embedded import end_process, log_end, start_tied

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0


class BenchFailed(Exception):
    """A benchmark that can't be run, or whose result is wrong; the text says why."""


PYTHON = (sys.executable, "-m")


class Child:
    """A Python module in a process of its own; its standard output and error go to a log file.

    ``program`` is what runs the module, if it isn't Python's.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = PYTHON,
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TURNSTILE_")}
        path = os.pathsep.join(part for part in (str(ROOT), inherited.get("PYTHONPATH")) if part)
        self.module = module
        self.log_file = log_file
        self.process: subprocess.Popen[bytes] = start_tied(
            [*program, module, *arguments],
            log_file,
            {**inherited, "PYTHONPATH": path, **(environment or {})},
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def check(self) -> None:
        """Raises BenchFailed when it has ended by itself."""
        if self.process.poll() is not None:
            raise BenchFailed(
                f"{self.module} ended with code {self.process.returncode}: {log_end(self.log_file, 4000)}"
            )

    def wait(self, seconds: float) -> None:
        """Until it ends well. Raises BenchFailed."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"{self.module} did not end in {seconds:.0f} s: {self.tail()}") from None
        if code != 0:
            raise BenchFailed(f"{self.module} ended with code {code}: {self.tail()}")

    def tail(self) -> str:
        return log_end(self.log_file, 4000)

    def stop(self) -> None:
        end_process(self.process, STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def write_result(path: str, result: Mapping[str, object]) -> None:
    """What a child found, whole or not at all."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps(result))
    partial.rename(path)


def read_result(path: Path) -> dict[str, Any]:
    """Raises BenchFailed when there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        raise BenchFailed(f"no result in {path.name}") from None
    return found


@contextlib.contextmanager
def scratch(root: Path | None = None) -> Iterator[Path]:
    """A folder for data and logs, gone afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="turnstile-bench-", dir=root, ignore_cleanup_errors=True) as path:
        yield Path(path)

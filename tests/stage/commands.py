"""``turnstile`` commands of tests: run to their end, forked like the workers (``tests.stage.nursery``)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.stage.forks import start_forked
from tests.stage.workers import COMMAND, environment

Done = subprocess.CompletedProcess[str]
SECONDS = 120.0


def run(*arguments: str, given: Mapping[str, str] | None = None) -> Done:
    """Run a command with an environment; without one, with the default settings."""
    return _begun(arguments, given)()


async def run_beside(*arguments: str, given: Mapping[str, str] | None = None) -> Done:
    """The same without holding up the event loop."""
    return await asyncio.to_thread(_begun(arguments, given))


def _begun(arguments: tuple[str, ...], given: Mapping[str, str] | None) -> Callable[[], Done]:
    """Start it, in this thread; what waits for its end, in any."""
    known = dict(environment({}) if given is None else given)
    if sys.platform != "linux":
        command = [*COMMAND, *arguments]
        return lambda: subprocess.run(command, env=known, capture_output=True, text=True, timeout=SECONDS)
    folder = TemporaryDirectory(prefix="turnstile-command-")
    out, errors = Path(folder.name, "out"), Path(folder.name, "errors")
    forked = start_forked(arguments, out, known, errors)

    def wait() -> Done:
        with folder:
            try:
                code = forked.wait(SECONDS)
            except subprocess.TimeoutExpired:
                forked.kill()
                raise
            return subprocess.CompletedProcess(arguments, code, out.read_text(), errors.read_text())

    return wait

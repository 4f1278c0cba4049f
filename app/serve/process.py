"""The processes of ``turnstile serve``: one reader, or several that share a port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from functools import partial
from typing import Final

import structlog

from agents.kafka.consumed import use_light_records
from app.failures import INTERRUPTED
from app.serve.reader import STOP_SECONDS, Reader
from app.settings.tree import Settings
from app.worker.process import calm_garbage_collector

log = structlog.get_logger("turnstile.serve")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def new_loop() -> asyncio.AbstractEventLoop:
    """The event loop of a reader: where uvloop is, a request costs a fifth less."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _stop_or_end(reader: Reader) -> None:
    """The first signal asks for an orderly end, the second doesn't wait for it."""
    if reader.stopping.is_set():
        os._exit(INTERRUPTED)
    reader.stop()


async def run(settings: Settings, number: int) -> None:
    """Run a reader until SIGTERM or SIGINT. Raises what it can't go on with."""
    calm_garbage_collector()
    use_light_records()
    if settings.serve.processes > 1:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    reader = Reader(settings, number)
    loop = asyncio.get_running_loop()
    for each in SIGNALS:
        loop.add_signal_handler(each, partial(_stop_or_end, reader))
    await reader.run()


async def run_several(settings: Settings) -> int:
    """Run ``serve.processes`` readers until a signal comes or one of them ends; the exit code."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for each in SIGNALS:
        loop.add_signal_handler(each, stopping.set)
    command = [sys.executable, "-m", "app.main", "serve"]
    if settings.file is not None:
        command += ["--settings", str(settings.file)]
    children = [
        await asyncio.create_subprocess_exec(
            *command, "--number", str(number), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        for number in range(settings.serve.processes)
    ]
    ends = [asyncio.create_task(each.wait()) for each in children]
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait({*ends, signalled}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.is_set():
        log.error("reader_ended", hint="the others end, too; what ended it is in its lines above")
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    await asyncio.wait(ends, timeout=STOP_SECONDS + 5)
    for child in children:
        if child.returncode is None:
            child.kill()
    signalled.cancel()
    codes = [await each for each in ends]
    return 0 if stopping.is_set() and not any(codes) else max((abs(each) for each in codes), default=1) or 1


def _end_with_parent() -> None:
    """Standard input ends when the parent does, however it ends; a store's lock must not outlive it."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)

"""The process of a worker: signals, the garbage collector, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from functools import partial

import structlog

from agents.kafka.consumed import use_light_records
from app.failures import FAILED, INTERRUPTED, message_for_users
from app.settings.tree import Settings
from app.worker.worker import Worker

log = structlog.get_logger("turnstile.worker")


def _stop_or_end(worker: Worker) -> None:
    """The first signal asks for an orderly end, the second doesn't wait for it."""
    if worker.stopping.is_set():
        os._exit(INTERRUPTED)
    worker.stop()


async def run(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT. Raises what made it crash."""
    calm_garbage_collector()
    use_light_records()
    worker = Worker(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(_stop_or_end, worker))
    try:
        await worker.run()
    except BaseException:
        if worker.crashed is not None:
            # Threads of a crashed Faust app would hold the process; nothing more may be committed.
            log.error("exit_after_crash")
            message = message_for_users(worker.crashed)
            if message is not None:
                print(message, file=sys.stderr, flush=True)
            os._exit(1 if message is None else FAILED)
        raise


def calm_garbage_collector() -> None:
    """Let Python look for cycles in what is new, seldom in the rest: the cache holds millions of objects and
    no cycles.

    With the defaults a sixth of the worker's time went into walking over them. Fewer and larger lots of what
    is new take longer, too (it has left the processor's cache by then), and stop everything: 35 to 110 ms for
    100,000 objects, 1 ms for 2,000.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10_000, 100)

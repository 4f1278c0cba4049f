"""The child process of ``app.estimate.process``."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import sys
import threading
import time

import msgspec
import structlog

from agents.estimate.answer import Estimates
from agents.estimate.progress import Progress
from agents.kafka.consumed import use_light_records
from app.estimate.process import Failed, Job, Message
from app.estimate.run import run
from app.failures import message_for_users

TELL_SECONDS = 0.25

_encode = msgspec.json.Encoder().encode


def tell(message: Message) -> None:
    sys.stdout.buffer.write(_encode(message) + b"\n")
    sys.stdout.buffer.flush()


class _Seldom:
    """Tells progress some times a second."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            tell(Message(progress=progress))


async def answer(job: Job) -> Message:
    try:
        return Message(estimates=Estimates(await run(job.settings, job.question, _Seldom().tell)))
    except Exception as error:
        reason = message_for_users(error)
        if reason is None:
            raise
        return Message(failed=Failed(reason))


def _end_with_parent() -> None:
    """Standard input ends when the parent ends, however it does, or wants no answer any more."""
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    # From our own parent, through a pipe that nobody else has.
    _job = pickle.loads(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))
    os.nice(10)  # where cores are scarce the worker comes first
    threading.Thread(target=_end_with_parent, daemon=True).start()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    use_light_records()
    gc.disable()  # it would look through the kept records again and again, which have no cycles
    tell(asyncio.run(answer(_job)))

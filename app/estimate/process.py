"""Answering a question in a process of its own, so that the event loop of a worker stays free.

The child reads the log with a consumer of its own and tells its progress. It ends when its answer is given,
when nobody waits for the answer any more, and with its parent.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from agents.estimate.answer import Estimates
from agents.estimate.progress import Progress
from app.estimate.question import Question
from app.failures import CommandFailed
from app.settings.tree import Settings

LINE_BYTES = 64 * 1024 * 1024
"""Of an answer: ten members with everything that is known of them, of each audience."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the child does; it comes through standard input, because the settings may hold passwords."""

    settings: Settings
    question: Question


class Failed(msgspec.Struct, frozen=True):
    """Why there is no answer, for people."""

    reason: str


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of what the child tells: it has exactly one of these."""

    progress: Progress | None = None
    estimates: Estimates | None = None
    failed: Failed | None = None


_decode = msgspec.json.Decoder(Message).decode


async def ask(settings: Settings, question: Question) -> AsyncGenerator[Message]:
    """What the child tells: progress, then the estimates or why there are none.

    Closing the iterator ends the child. Raises CommandFailed when the child ended without an answer.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.estimate.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        job = pickle.dumps(Job(settings, question))
        child.stdin.write(b"%d\n%b" % (len(job), job))
        async for line in child.stdout:
            message = _decode(line)
            yield message
            if message.progress is None:
                return
        raise CommandFailed(f"the process that estimates ended with code {await child.wait()}")
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        child.stdin.close()

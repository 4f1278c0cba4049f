"""``turnstile push worker``, which kills itself, or sleeps, at one point of the run of one push.

``-m tests.pushes.service.killed WHO [POINT PUSH]``. WHO is ``alone`` for a process that leads at once: a
broker waits for one that was killed until its session is over. Otherwise it is ``beside``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from agents.pushes.contract.target import Delivered
from agents.pushes.engine import delivering
from agents.pushes.engine.book import Book
from agents.pushes.engine.runner import Runner
from agents.pushes.spool import SpoolWriter
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.kafka import KafkaTarget
from agents.registry import leading
from agents.registry.leading import Leading
from app.main import main

POINTS: dict[str, tuple[type, str, str]] = {
    "snapshot": (SpoolWriter, "add", ""),
    "spooled": (Book, "change", "spooled"),
    "sending": (KafkaTarget, "_send", ""),
    "committed": (KafkaTarget, "deliver", ""),
}
"""After which call it ends: of a class, a method, the state that is noted."""

ASLEEP = "asleep"
"""Here it stops, right before it would decide that its list is the run's."""

armed = False


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killing(method: Callable[..., Any], state: str) -> Callable[..., Any]:
    """The method, after which the process ends."""
    if not asyncio.iscoroutinefunction(method):

        @wraps(method)
        def plain(*given: Any, **named: Any) -> Any:
            found = method(*given, **named)
            if armed:
                die()
            return found

        return plain

    @wraps(method)
    async def awaited(*given: Any, **named: Any) -> Any:
        found = await method(*given, **named)
        if armed and named.get("state", "") == state:
            die()
        return found

    return awaited


def sleep_before_deciding() -> None:
    """Stop before a list is decided, once; when it goes on, it hears only after that delivery that another
    process leads by now."""
    decide, deliver, lost = FilesTarget._decide, FilesTarget.deliver, Leading._lost
    is_over = asyncio.Event()
    is_over.set()

    async def asleep(*given: Any) -> bytes:
        global armed
        if armed:
            armed = False
            is_over.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        return await decide(*given)

    async def delivered(*given: Any) -> Delivered:
        try:
            return await deliver(*given)
        finally:
            is_over.set()

    async def lost_later(self: Leading[Any]) -> None:
        await is_over.wait()
        await lost(self)

    FilesTarget._decide = asleep  # type: ignore[method-assign]
    FilesTarget.deliver = delivered  # type: ignore[method-assign]
    Leading._lost = lost_later  # type: ignore[method-assign]
    delivering.PROGRESS_SECONDS = 600.0  # type: ignore[misc]


def arm(point: str, push: str) -> None:
    if point == ASLEEP:
        sleep_before_deciding()
    else:
        kind, name, state = POINTS[point]
        setattr(kind, name, killing(getattr(kind, name), state))
    carry_out = Runner.run

    async def run(self: Runner, run_id: str) -> None:
        global armed
        armed = armed or self._book.runs[run_id].push == push
        await carry_out(self, run_id)

    Runner.run = run  # type: ignore[method-assign]


async def lead_at_once(self: Leading[Any]) -> None:
    self._leading = asyncio.current_task()
    await self._lead_alone()


if __name__ == "__main__":
    leading.AGAIN_SECONDS = 0.5  # type: ignore[misc]
    if sys.argv[1] == "alone":
        Leading.run = lead_at_once  # type: ignore[method-assign]
    if len(sys.argv) > 2:
        arm(sys.argv[2], sys.argv[3])
    main(["push", "worker"])

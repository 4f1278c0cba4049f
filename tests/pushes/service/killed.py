"""``turnstile push worker``, which kills itself at one point of the run of one push.

``python -m tests.pushes.service.killed POINT PUSH``. It leads at once, because a broker waits six seconds for
one who was killed; that another one takes over then is tested apart.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from agents.pushes.engine.book import Book
from agents.pushes.engine.runner import Runner
from agents.pushes.spool import SpoolWriter
from agents.pushes.targets.kafka import KafkaTarget
from agents.registry.leading import Leading
from app.main import main

POINTS: dict[str, tuple[type, str, str]] = {
    "snapshot": (SpoolWriter, "add", ""),
    "spooled": (Book, "change", "spooled"),
    "sending": (KafkaTarget, "_send", ""),
    "committed": (KafkaTarget, "deliver", ""),
}
"""After which call it ends: of a class, a method, the state that is noted."""

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


def arm(point: str, push: str) -> None:
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
    Leading.run = lead_at_once  # type: ignore[method-assign]
    if len(sys.argv) > 1:
        arm(sys.argv[1], sys.argv[2])
    main(["push", "worker"])

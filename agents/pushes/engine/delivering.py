"""One attempt to bring a list to its target: progress is noted, and the list appears only if it still may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog
from aiokafka.errors import KafkaError

from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import (
    Delivered,
    ListOutdated,
    Target,
    TargetRefused,
    TargetUnavailable,
)
from agents.pushes.engine.book import Book

Answer = TypeVar("Answer")

log = structlog.get_logger("turnstile.pushes")

PROGRESS_SECONDS: Final = 1.0
"""Between two notes of how far a run is."""
OUTDATED: Final = "a user in the list was erased since"


class TargetBroken(TargetRefused):
    """The code for this kind of target failed in a way that nobody thought of."""


async def delivered(
    book: Book,
    run_id: str,
    target: Target,
    spooled: SpooledList,
    is_outdated: Callable[[SpooledList], Awaitable[bool]],
) -> Delivered:
    """Deliver, and note how far it is. Raises TargetRefused, TargetUnavailable; KafkaError when somebody else
    leads by now."""
    rows: list[int] = []
    lost: list[KafkaError] = []

    async def may_appear() -> None:
        if await is_outdated(spooled):
            raise ListOutdated(OUTDATED)
        try:  # whoever doesn't lead any more can't note anything
            await book.change(run_id, delivered_rows=spooled.rows)
        except KafkaError as error:
            lost.append(error)
            raise TargetUnavailable("this process can't note anything on the ledger") from None

    delivering = asyncio.create_task(target.deliver(spooled, rows.append, may_appear))
    try:
        while not (await asyncio.wait([delivering], timeout=PROGRESS_SECONDS))[0]:
            if rows:
                await book.change(run_id, delivered_rows=rows[-1])
                del rows[:]
    finally:
        await ended(delivering)
    try:
        return delivering.result()
    except (TargetRefused, TargetUnavailable):
        if lost:
            raise lost[0] from None
        raise
    except Exception as bug:
        raise broken(run_id, bug) from None


async def answered(run_id: str, asked: Awaitable[Answer]) -> Answer:
    """What a target answers. Raises TargetRefused, TargetUnavailable."""
    try:
        return await asked
    except (TargetRefused, TargetUnavailable):
        raise
    except Exception as bug:
        raise broken(run_id, bug) from None


def broken(run_id: str, bug: Exception) -> TargetBroken:
    """A bug in one kind of target must not stop all other pushes again and again."""
    log.error("push_target_failed", run=run_id, error=repr(bug), exc_info=bug)
    return TargetBroken(f"a bug: the target raised {type(bug).__name__}")


async def ended(task: asyncio.Task[Any]) -> None:
    """End a task that may be under way. What it raised is for ``result``."""
    task.cancel()
    await asyncio.wait([task])

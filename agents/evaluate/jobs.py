"""Computations in parts, some of which may run in other threads.

Such a computation is a generator: it yields a job whenever it needs what a job gives, and goes on with that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Executor
from typing import Any, TypeAlias, TypeVar

Job: TypeAlias = Callable[[], object]
"""Computes without Python's objects, thus without its lock (the GIL), for the most part."""
Result = TypeVar("Result")
Parts: TypeAlias = Generator[Job, Any, Result]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(parts: Parts[Result]) -> Result:
    """Bring a computation to its end in this thread."""
    given: object = None
    while True:
        try:
            job = parts.send(given)
        except StopIteration as end:
            result: Result = end.value
            return result
        given = job()


async def run_aside(parts: Parts[Result], threads: Executor | None) -> Result:
    """The same, with its jobs in one of ``threads``, if there are any. Others have a turn in between.

    When it is cancelled it ends after its job: what a job uses may be closed then.
    """
    loop = asyncio.get_running_loop()
    given: object = None
    while True:
        try:
            job = parts.send(given)
        except StopIteration as end:
            result: Result = end.value
            return result
        if threads is None:
            given = job()
            continue
        running = loop.run_in_executor(threads, job)
        try:
            given = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


async def side_by_side(turns: Sequence[Coroutine[None, None, Result]]) -> list[Result]:
    """All at once. When one fails the others end, too, and its error is raised."""
    tasks = [asyncio.create_task(turn) for turn in turns]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def either(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Wait for one of them."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()

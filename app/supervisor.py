"""The tasks that a process lives by: one that fails, or only ends, stops the process with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_SECONDS = 2.0
"""For work that is no longer waited for to clean up."""


class TaskEnded(Exception):
    """A task that lasts as long as the process ended by itself."""


class Supervisor:
    """Tasks, a wish to stop, and the first reason why the process can't go on.

    ``asyncio.TaskGroup`` doesn't fit: it cancels the code that holds it, wherever that stands, and knows only
    failures of its own tasks. Here that code stops its parts in its own order, and a failure that comes from
    elsewhere (from Faust, from a commit) counts like a task's.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        """``failed`` is given the first reason at once, before any other task runs."""
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self._failed = failed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def stop(self) -> None:
        """Ask for an orderly end."""
        self.stopping.set()

    def fail(self, error: BaseException) -> None:
        """Stop for this reason; of several reasons the first counts."""
        if self.failure is None:
            self.failure = error
            self._failed(error)
        self.stopping.set()

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What ``work`` returns; None, and ``work`` cancelled, when the process is to stop before.

        Raises what ``work`` raises, and the reason for which the process stops.
        """
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            is_done = working.done()
            if not is_done:
                working.cancel()
                await asyncio.wait({working}, timeout=CANCEL_SECONDS)
        if self.failure is not None:
            raise self.failure
        return working.result() if is_done else None

    async def end(self) -> None:
        """Cancel all tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)
        elif not self.stopping.is_set():
            self.fail(TaskEnded(f"the task {task.get_name()!r} ended by itself"))

"""The one process that leads: it plans runs, lets as many of a class of targets run as may, and tidies up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import replace

from agents.pushes.contract.target import QueueName, Targets
from agents.pushes.engine.book import Book
from agents.pushes.engine.planning import asked_runs, due_runs
from agents.pushes.engine.runner import Runner
from agents.pushes.published import PublishedPush
from agents.pushes.runs import Request, Run
from agents.pushes.spool import Spools
from rules.parse.problems import DefinitionsInvalid

log = structlog.get_logger("turnstile.pushes")

LOOK_SECONDS: Final = 0.5
TIDY_SECONDS: Final = 60.0
Limits = Mapping[QueueName, int]
"""Runs at a time, by class of target."""


class Leader:
    """Leads until ``run`` is cancelled; then every run stays as the ledger has it."""

    def __init__(
        self,
        book: Book,
        pushes: Callable[[], Mapping[str, PublishedPush]],
        requests: Callable[[], Sequence[Request]],
        runner: Runner,
        targets: Targets,
        spools: Spools,
        limits: Limits,
        *,
        history: int,
        spool_ms: int,
    ) -> None:
        """``history``: of each push so many runs that are done are kept. ``spool_ms``: lists of the
        last runs that failed are kept for so long."""
        self._book = book
        self._pushes = pushes
        self._requests = requests
        self._runner = runner
        self._targets = targets
        self._spools = spools
        self._limits = limits
        self._history = history
        self._spool_ms = spool_ms
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        """Runs that are cancelled: their targets are asked whether they have the list."""
        self._tidied_s = -TIDY_SECONDS

    async def run(self) -> None:
        """Lead until cancelled. Raises KafkaError when somebody else leads by now."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    cancelled = await self._plan()
                    self._cancel(tasks, cancelled)
                    self._begin(tasks)
                    await self._tidy()
                    await asyncio.sleep(LOOK_SECONDS)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    # -- what is to be done ----------------------------------------------------------------------------

    async def _plan(self) -> list[Run]:
        """Note what is to be; the runs that are to be cancelled."""
        book, pushes = self._book, self._pushes()
        for request in self._requests():
            book.take_request(request)
        planned = asked_runs(pushes, book)
        runs = [*due_runs(pushes, book), *planned.runs]
        # A request that was answered before a crash, and a time that has its run, make none again.
        fresh = [self._queued(each) for each in runs if each.id not in book.runs or each.state == "confirmed"]
        if fresh or planned.answered:
            await book.note(fresh, planned.answered)
        return planned.cancelled

    def _queued(self, run: Run) -> Run:
        if run.is_done:
            return run
        try:
            return replace(run, queue=self._targets.queue_of(run.parsed()))
        except DefinitionsInvalid:
            return run  # it fails when it is carried out

    def _cancel(self, tasks: asyncio.TaskGroup, runs: Sequence[Run]) -> None:
        """End runs beside the others, because a target may take long to answer."""
        for run in runs:
            if run.id not in self._ending:
                self._ending.add(run.id)
                carried_out = self._under_way.get(run.id)
                self._under_way[run.id] = tasks.create_task(self._end(run.id, carried_out))

    async def _end(self, run_id: str, carried_out: asyncio.Task[None] | None) -> None:
        if carried_out is not None and not carried_out.done():
            carried_out.cancel()
            await asyncio.wait([carried_out])
        await self._runner.stop(run_id)
        self._ending.discard(run_id)

    # -- the queue -------------------------------------------------------------------------------------

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin the runs that may, in order: of each class as many as its limit, of each push one."""
        for run_id in [each for each, task in self._under_way.items() if task.done()]:
            del self._under_way[run_id]
        runs = [self._book.runs[each] for each in self._under_way if each in self._book.runs]
        places, pushes = Counter(each.queue for each in runs), {each.push_key for each in runs}
        # What was begun before a crash goes on first.
        for run in sorted(self._book.unfinished, key=lambda each: each.started_ms is None):
            limit = self._limits.get(run.queue, 1)  # type: ignore[call-overload]
            if run.id in self._under_way or run.push_key in pushes or places[run.queue] >= limit:
                continue
            places[run.queue] += 1
            pushes.add(run.push_key)
            self._under_way[run.id] = tasks.create_task(self._runner.run(run.id), name=f"push {run.id}")

    # -- tidying up ------------------------------------------------------------------------------------

    async def _tidy(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._tidied_s < TIDY_SECONDS:
            return
        self._tidied_s = now_s
        by_push: dict[str, list[Run]] = {}
        for run in self._book.runs.values():
            by_push.setdefault(run.push_key, []).append(run)
        for runs in by_push.values():
            await self._book.forget(outdated(runs, self._history))
        least_ms = self._book.now_ms() - self._spool_ms
        kept = kept_lists(self._book.runs.values(), least_ms)
        with suppress(OSError):
            await asyncio.to_thread(self._spools.keep, kept)


def kept_lists(runs: Iterable[Run], least_ms: int) -> set[str]:
    """The runs whose lists are needed: those under way, those that they push again, and of each push the last
    one that failed since ``least_ms``. All that fail would fill the disk where a schedule fails each time."""
    kept: set[str] = set()
    last: dict[str, Run] = {}
    for run in runs:
        if not run.is_done:
            kept |= {run.id, run.of} - {""}
        elif run.state == "failed" and run.list_id and (run.ended_ms or 0) >= least_ms:
            before = last.get(run.push_key)
            if before is None or (before.ended_ms or 0) <= (run.ended_ms or 0):
                last[run.push_key] = run
    return kept | {each.id for each in last.values()}


def outdated(runs: list[Run], history: int) -> list[Run]:
    """Runs of one push that needn't be kept. The last time of the schedule is: it must not come again."""
    done = sorted((each for each in runs if each.is_done), key=lambda each: each.created_ms)
    last = max(
        (each for each in done if each.trigger == "schedule"), key=lambda each: each.due_ms, default=None
    )
    return [each for each in done[: max(0, len(done) - history)] if each is not last]

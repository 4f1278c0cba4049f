"""One run, from wherever the ledger says that it is to its end.

    queued ─▶ snapshot ─▶ spooled ─▶ delivering ─▶ delivered (─▶ confirmed)

Each arrow is noted before what follows it begins. So whoever finds the run after a crash knows what may have
happened: before ``delivering`` nothing of the list is at the target, and a list whose spool is lost is made
anew. From ``delivering`` on some of it may be: the spool is delivered again, which a target takes as the same
list; without the spool the target says whether it has the list whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from random import Random
from typing import Final, TypeVar

import structlog

from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.retry import pause_s
from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList
from agents.pushes.contract.target import (
    Delivered,
    ListOutdated,
    Target,
    TargetRefused,
    Targets,
    TargetUnavailable,
)
from agents.pushes.engine.book import Book
from agents.pushes.engine.delivering import OUTDATED, PROGRESS_SECONDS, answered, delivered, ended
from agents.pushes.engine.listing import make_list
from agents.pushes.runs import Run, list_id
from agents.pushes.snapshot.snapshot import Snapshots
from agents.pushes.spool import SpoolLost, Spools
from rules.parse.problems import DefinitionsInvalid
from rules.time.instants import format_instant

log = structlog.get_logger("turnstile.pushes")

COUNTED: Final = (
    *("instant_ms", "audience_version", "members", "rows", "bytes"),
    *("by_id", "without", "refused"),
)
"""What two runs with one list have in common."""
CODES: Final = {
    "TooManyIds": "too_many_ids",
    "AudienceMissing": "audience_missing",
    "GaveUp": "unavailable",
    "TargetBroken": "bug",
}
"""By the name of the error; all others are ``refused``."""
Answer = TypeVar("Answer")

ErasedSince = Callable[[str, int], Collection[bytes]]
"""The pseudonyms of the users of a project who were erased at an instant (ms) or after it."""


class GaveUp(TargetRefused):
    """The target wasn't available for as long as it is tried."""


class Runner:
    """Carries runs out. ``run`` is called for each, by whoever leads."""

    def __init__(
        self,
        book: Book,
        targets: Targets,
        snapshots: Snapshots,
        spools: Spools,
        erased_since: ErasedSince,
        retry: RetryPolicy,
    ) -> None:
        self._book = book
        self._targets = targets
        self._snapshots = snapshots
        self._spools = spools
        self._erased_since = erased_since
        self._retry = retry
        self._random = Random()

    async def run(self, run_id: str) -> None:
        """To its end. Raises KafkaError when somebody else leads by now."""
        book, run = self._book, self._book.runs[run_id]
        if run.started_ms is None:
            run = await book.change(run_id, started_ms=book.now_ms(), reason="")
        target: Target | None = None
        try:
            push = run.parsed()
            target = await self._retried(run_id, lambda: self._targets.of(push))
            delivered = await self._carry_out(run_id, push, target)
        except TargetRefused as refused:
            await self._fail(run_id, code_of(refused), str(refused))
        except DefinitionsInvalid as invalid:
            await self._fail(run_id, "unreadable", f"this version can't read its definition: {invalid}")
        except OSError as error:
            await self._fail(run_id, "disk", f"the list can't be spooled: {error.strerror or error}")
        else:
            await self._end(run_id, delivered)
        finally:
            if target is not None:
                await target.close()

    async def stop(self, run_id: str) -> None:
        """Note that a run was cancelled; its task has ended, at whichever point."""
        run = self._book.runs[run_id]
        if run.is_done:
            return
        if run.state == "delivering":
            target: Target | None = None
            try:
                push = run.parsed()
                target = await answered(run_id, self._targets.of(push))
                asked = target.find(push, run_id, run.list_id, run.created_ms)
                delivered = await answered(run_id, asked)
            except (TargetRefused, TargetUnavailable, DefinitionsInvalid) as error:
                reason = f"it was cancelled, and whether the target has the list isn't known: {error}"
                await self._fail(run_id, "cancelled", reason)
                return
            finally:
                if target is not None:
                    await target.close()
            if delivered is not None:
                await self._book.change(run_id, "it was to be cancelled, and was delivered before")
                await self._end(run_id, delivered)
                return
        self._spools.erase(run_id)
        await self._book.change(run_id, state="cancelled", reason="somebody cancelled it")

    # -- the way ---------------------------------------------------------------------------------------

    async def _carry_out(self, run_id: str, push: Push, target: Target) -> Delivered:
        spooled: SpooledList | None = None
        failures = 0
        first_s = time.monotonic()
        while True:
            if spooled is None or await self._is_outdated(spooled):
                found = await self._spooled(run_id, push, target)
                if isinstance(found, Delivered):
                    return found
                spooled = found
            run = self._book.runs[run_id]
            await self._book.change(run_id, state="delivering", attempts=run.attempts + 1, delivered_rows=0)
            try:
                return await delivered(self._book, run_id, target, spooled, self._is_outdated)
            except ListOutdated:
                continue
            except TargetUnavailable as unavailable:
                failures += 1
                await self._pause(run_id, unavailable, failures, first_s)

    async def _spooled(self, run_id: str, push: Push, target: Target) -> SpooledList | Delivered:
        """The list, as it was left or made now; or what an earlier attempt made whole."""
        run = self._book.runs[run_id]
        if run.state in ("spooled", "delivering"):
            why = OUTDATED
            try:
                spooled = await asyncio.to_thread(self._spools.read, run_id, run.list_id, push)
                if not await self._is_outdated(spooled):
                    return spooled
            except SpoolLost as lost:
                why = str(lost)
            if run.state == "delivering":
                asked = (push, run_id, run.list_id, run.created_ms)
                found = await self._retried(run_id, lambda: target.find(*asked))
                if found is not None:
                    await self._book.change(run_id, f"{why}; the target has the list whole")
                    return found
            await self._book.change(run_id, f"{why}, and nothing of the list is visible: a new one is made")
        elif run.state == "snapshot":
            await self._book.change(run_id, "the process ended while it made the list: a new one is made")
        if run.of and run.lists == 0 and await self._took_over(run):
            return await asyncio.to_thread(self._spools.read, run_id, list_id(run_id, 1), push)
        return await self._new_list(run_id, push)

    async def _took_over(self, run: Run) -> bool:
        """Whether the list of the run that is pushed again could be taken."""
        before, name = self._book.runs.get(run.of), list_id(run.id, 1)
        if before is None or before.instant_ms is None:
            await self._book.change(run.id, f"run {run.of} has no list: a new one is made")
            return False
        try:
            spooled = await asyncio.to_thread(self._spools.read, before.id, before.list_id, run.parsed())
            if await self._is_outdated(spooled):
                await self._book.change(run.id, f"{OUTDATED} run {run.of}: a new list is made")
                return False
            await asyncio.to_thread(self._spools.take_over, spooled, run.id, name)
        except SpoolLost as lost:
            await self._book.change(run.id, f"{lost}: a new list is made")
            return False
        told = f"it is the list of run {before.id}, of {format_instant(before.instant_ms)}"
        kept = {name: getattr(before, name) for name in COUNTED}
        await self._book.change(run.id, told, state="spooled", lists=1, list_id=name, **kept)
        return True

    async def _new_list(self, run_id: str, push: Push) -> SpooledList:
        number = self._book.runs[run_id].lists + 1
        name = list_id(run_id, number)
        # Nothing is known of the new list yet.
        await self._book.change(
            run_id, state="snapshot", lists=number, list_id=name, reason="", instant_ms=None
        )
        waiting: list[str] = []
        making = asyncio.create_task(
            make_list(self._spools, self._snapshots, push, run_id, name, waiting.append)
        )
        try:
            while not (await asyncio.wait([making], timeout=PROGRESS_SECONDS))[0]:
                if waiting and waiting[-1] != self._book.runs[run_id].reason:
                    await self._book.change(run_id, reason=waiting[-1])
                del waiting[:]
        finally:
            await ended(making)
        listed = asdict(making.result())
        await self._book.change(run_id, state="spooled", reason="", **listed)
        return await asyncio.to_thread(self._spools.read, run_id, name, push)

    async def _is_outdated(self, spooled: SpooledList) -> bool:
        """Whether somebody in the list was erased since its instant."""
        erased = self._erased_since(spooled.push.project, spooled.instant_ms)
        return bool(erased) and await asyncio.to_thread(self._spools.has_any, spooled, erased)

    # -- waiting, and ends -----------------------------------------------------------------------------

    async def _retried(self, run_id: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What the target answers, however long it isn't available. Raises TargetRefused."""
        failures, first_s = 0, time.monotonic()
        while True:
            try:
                return await answered(run_id, ask())
            except TargetUnavailable as unavailable:
                failures += 1
                await self._pause(run_id, unavailable, failures, first_s)

    async def _pause(
        self, run_id: str, unavailable: TargetUnavailable, failures: int, first_s: float
    ) -> None:
        """Until the next attempt. Raises GaveUp."""
        if (time.monotonic() - first_s) * 1000 >= self._retry.for_ms:
            raise GaveUp(f"it was tried {failures} times: {unavailable}")
        await self._book.change(run_id, reason=f"it is tried again: {unavailable}")
        await asyncio.sleep(pause_s(self._retry, failures, self._random, unavailable.retry_after_s))

    async def _fail(self, run_id: str, code: str, reason: str) -> None:
        run = await self._book.change(run_id, state="failed", code=code, reason=reason)
        log.warning("push_failed", push=run.push_key, run=run_id, code=code, reason=reason)

    async def _end(self, run_id: str, delivered: Delivered) -> None:
        """The target has the list, whole."""
        run = await self._book.change(
            run_id,
            state="confirmed" if delivered.is_confirmed else "delivered",
            reason="",
            delivered_rows=delivered.rows,
            places=delivered.places,
            checksum=delivered.checksum,
        )
        await asyncio.to_thread(self._spools.erase, run_id)
        log.info("push_delivered", push=run.push_key, run=run_id, rows=run.rows, members=run.members)


def code_of(refused: TargetRefused) -> str:
    """For programs: ``too_many_ids``, ``refused``, …"""
    return CODES.get(type(refused).__name__, "refused")

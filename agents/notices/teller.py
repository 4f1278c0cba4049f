"""Sends notices, in the one process that may: each project's in order, to the project's notify address.

``ONLY_ONCE_UNSPECIFIED``: a notice is noted, then sent, whatever comes of it. So it never goes out twice; a
kill in between, or a receiver that doesn't take it, loses it, which is counted. ``RETRYABLE``: it is sent
until the receiver has taken it, then noted; a kill in between sends it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from agents.backfill.progress.progress import ProgressOfVersions
from agents.deliver.contract.outcomes import Delivered, Outcome, Retry
from agents.deliver.definitions.destination import RetryPolicy
from agents.deliver.engine.retry import pause_s
from agents.notices.addresses import NotifyAddress
from agents.notices.moments import Life, Moment, notices_of
from agents.notices.notes import Note, Notes
from agents.notices.notes import Outcome as Noted
from agents.notices.notice import Notice, NoticeKey, body_of
from agents.registry.audiences import Audiences
from agents.warnings import Warnings

LOOK_SECONDS: Final = 1.0
"""Between two looks at what there is to tell."""
UNSENT: Final = "notices_unsent"
"""The code of the warning about an address that doesn't take notices."""
LOST: Final = "notice_lost"


class Known(Protocol):
    """What a process follows."""

    @property
    def audiences(self) -> Audiences: ...
    @property
    def progress(self) -> ProgressOfVersions: ...
    @property
    def addresses(self) -> Mapping[str, NotifyAddress]: ...


class Post(Protocol):
    """Sends one request to a project's address."""

    async def __call__(
        self, project: str, address: NotifyAddress, notice: NoticeKey, body: bytes
    ) -> Outcome: ...


class Write(Protocol):
    """Notes something of notices; returns when that is certain. Raises where another process tells by now."""

    async def __call__(self, notes: Sequence[tuple[NoticeKey, Note | None]], /) -> None: ...


@dataclass(slots=True)
class Told:
    """Counts since the start of this process, for metrics."""

    outcomes: dict[Noted, int] = field(default_factory=lambda: dict.fromkeys(("sent", "lost", "given_up"), 0))
    retries: int = 0


@dataclass(slots=True)
class _Waiting:
    """A notice that isn't sent yet. Seconds of the monotonic clock."""

    notice: Notice
    attempts: int = 0
    first_s: float = 0.0
    due_s: float = 0.0


class Teller:
    """``notes`` is everything that was noted before; nobody else notes anything from then on."""

    def __init__(
        self,
        known: Known,
        notes: Notes,
        write: Write,
        post: Post,
        partitions: int,
        stalled_ms: int,
        retry: RetryPolicy,
        told: Told,
        warnings: Warnings,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._known = known
        self._notes = notes
        self._write = write
        self._post = post
        self._partitions = partitions
        self._stalled_ms = stalled_ms
        self._retry = retry
        self._told = told
        self._warnings = warnings
        self._wall_ms = wall_ms
        self._random = Random()
        self._waiting: dict[str, dict[NoticeKey, _Waiting]] = {}
        """By project, in the order in which they are sent."""
        self._pause_until_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    async def run(self) -> None:
        """Tell until cancelled. Raises what ``write`` raises."""
        await self._give_up_unfinished()
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._tell(tasks)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _tell(self, tasks: asyncio.TaskGroup) -> None:
        senders: dict[str, asyncio.Task[None]] = {}
        while True:
            await self._look()
            for project in self._waiting:
                if project not in senders or senders[project].done():
                    senders[project] = tasks.create_task(self._send_all(project), name=f"notices {project}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _give_up_unfinished(self) -> None:
        for key in self._notes.unfinished:
            await self._note_done(key, "lost")

    # -- what there is to tell -------------------------------------------------------------------------

    async def _look(self) -> None:
        now = Moment(self._partitions, self._wall_ms(), self._stalled_ms)
        addresses, last = self._known.addresses, self._notes.last_instants()
        for project in self._waiting.keys() - addresses.keys():
            del self._waiting[project]
        for name, versions in self._known.audiences.versions.items():
            project, audience = name.decode().split("/", 1)
            address, life = addresses.get(project), Life.of(versions)
            if address is None or life is None:
                continue
            done_ms = last.get((project, audience), 0)
            for notice in notices_of(life, self._known.progress, now, address.since_ms, done_ms):
                if notice.key not in self._notes.published:
                    queue = self._waiting.setdefault(project, {})
                    queue.setdefault(notice.key, _Waiting(notice))
            await asyncio.sleep(0)
        for project, queue in self._waiting.items():
            self._waiting[project] = dict(sorted(queue.items(), key=lambda each: each[1].notice.order))
        await self._forget_outdated()

    async def _forget_outdated(self) -> None:
        versions = {
            (each.audience.project, each.audience.id, each.version)
            for of_audience in self._known.audiences.versions.values()
            for each in of_audience.values()
        }
        if outdated := list(self._notes.outdated(versions)):
            await self._write([(key, None) for key in outdated])
            for key in outdated:
                del self._notes.published[key]

    # -- sending ---------------------------------------------------------------------------------------

    async def _send_all(self, project: str) -> None:
        """Send what waits in a project and is due; ends when there is nothing."""
        while True:
            now_s = time.monotonic()
            if now_s < self._pause_until_s.get(project, 0.0):
                return
            due = [each for each in self._waiting.get(project, {}).values() if each.due_s <= now_s]
            address = self._known.addresses.get(project)
            if not due or address is None:
                return
            if address.send_mode == "RETRYABLE":
                await self._send_again(project, address, due[0])
            else:
                await self._send_once(project, address, due[0])

    async def _send_once(self, project: str, address: NotifyAddress, waiting: _Waiting) -> None:
        notice = waiting.notice
        await self._note(notice.key, "sending")
        self._waiting.get(project, {}).pop(notice.key, None)
        outcome = await self._post(project, address, notice.key, body_of(notice, address.notify_id))
        await self._note_done(notice.key, "sent" if isinstance(outcome, Delivered) else "lost", outcome)

    async def _send_again(self, project: str, address: NotifyAddress, waiting: _Waiting) -> None:
        notice, now_s = waiting.notice, time.monotonic()
        waiting.first_s = waiting.first_s or now_s
        waiting.attempts += 1
        outcome = await self._post(project, address, notice.key, body_of(notice, address.notify_id))
        if isinstance(outcome, Delivered):
            self._failures.pop(project, None)
            await self._note_done(notice.key, "sent")
        elif time.monotonic() - waiting.first_s >= self._retry.for_ms / 1000:
            await self._note_done(notice.key, "given_up", outcome)
        else:
            self._told.retries += 1
            self._wait(project, waiting, outcome)
            return
        self._waiting.get(project, {}).pop(notice.key, None)

    def _wait(self, project: str, waiting: _Waiting, outcome: Outcome) -> None:
        """The receiver didn't take it: it alone waits, or all of the project where that is why."""
        assert not isinstance(outcome, Delivered)
        least_s = outcome.retry_after_s if isinstance(outcome, Retry) else None
        waiting.due_s = time.monotonic() + pause_s(self._retry, waiting.attempts, self._random, least_s)
        if outcome.code not in _OF_ONE_NOTICE:
            self._failures[project] = failures = self._failures.get(project, 0) + 1
            pause = pause_s(self._retry, failures, self._random, least_s)
            self._pause_until_s[project] = time.monotonic() + pause
        text = f"the notify address of project {project} doesn't take notices: {outcome.reason}"
        self._warnings.note(UNSENT, project, text)

    # -- what is noted ---------------------------------------------------------------------------------

    async def _note_done(self, key: NoticeKey, noted: Noted, outcome: Outcome | None = None) -> None:
        await self._note(key, noted)
        self._told.outcomes[noted] += 1
        if noted == "sent":
            self._warnings.clear(UNSENT, key.project)
            return
        why = "the process that sent it was killed"
        if outcome is not None and not isinstance(outcome, Delivered):
            why = outcome.reason
        text = f"the notice {key.code} of audience {key.audience} isn't sent again: {why}"
        self._warnings.note(LOST, f"{key.project}/{key.audience}", text)

    async def _note(self, key: NoticeKey, noted: Noted) -> None:
        note = Note(noted, self._wall_ms())
        await self._write([(key, note)])
        self._notes.published[key] = note


_OF_ONE_NOTICE: Final = frozenset({"http_400", "http_413", "http_415", "http_422"})
"""Answers that are about the request alone: others may pass meanwhile."""

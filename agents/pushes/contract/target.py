"""What a push asks of the place that it goes to.

The core (``agents.pushes``) decides lists, spools them, retries, queues, and keeps the ledger. A target knows
one protocol. It keeps nothing about lists but what lies at the target itself.

**Exactly one list.** ``deliver`` may be cut off at any instant and called again, in another process, with
the same list from the same spool: whatever came before, when it returns the target holds the list once, and
says so where whoever reads it can see it (a manifest, an end marker). What isn't whole is never visible under
a final name, or in a committed transaction. ``find`` tells what an earlier call made whole: it is asked when
the spool is lost, because only the target knows then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agents.pushes.contract.push import Push
from agents.pushes.contract.spooled import SpooledList

QueueName: TypeAlias = Literal["kafka", "module", "other"]
"""Classes of targets; each has a limit of runs at a time."""


class TargetRefused(Exception):
    """The target will never take this list, or this push: the run fails with this text, which names no id
    and no secret."""


class TargetUnavailable(Exception):
    """Not now: it is tried again with the same list. The same holds for the text."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class ListOutdated(TargetUnavailable):
    """The list must not appear any more: a new one is needed."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where a list is, whole: ``rows`` and ``bytes`` are what lies at the target; a header is no row.

    ``is_confirmed``: its reader says that it has the list; otherwise it only reached the place where the
    reader fetches it.
    """

    list_id: str
    places: tuple[str, ...]
    """For people: a topic and its offsets, or the URLs of files, without secrets."""
    rows: int
    bytes: int
    checksum: str = ""
    """SHA-256 of the content in hexadecimal digits, where the target has one."""
    is_confirmed: bool = False


Progress: TypeAlias = Callable[[int], None]
"""Told how many rows are delivered so far in this call; cheap."""

MayAppear: TypeAlias = Callable[[], Awaitable[None]]
"""Asked by a target when all is ready and the next request makes the list visible as whole. Raises
TargetUnavailable where it must not be: another process leads by now, or somebody in the list was erased
(ListOutdated). Then nothing of the list may become visible by this call."""


async def may_always() -> None:
    """Nobody else delivers, and nobody is erased."""


class Target(Protocol):
    """Where one push goes."""

    @property
    def queue(self) -> QueueName: ...

    async def deliver(
        self, spooled: SpooledList, progress: Progress, may_appear: MayAppear = may_always
    ) -> Delivered:
        """Bring the list there. Raises TargetRefused, TargetUnavailable."""
        ...

    async def find(self, push: Push, run_id: str, list_id: str, since_ms: int = 0) -> Delivered | None:
        """What an earlier ``deliver`` made whole; None: nothing of this list is or will be visible as whole
        any more. ``since_ms``: the run began then (wall clock), so nothing of it is older.

        Raises TargetRefused where that can't be known, TargetUnavailable."""
        ...

    async def close(self) -> None: ...


class Targets(Protocol):
    """Makes the targets of pushes; knows connections and secrets."""

    def queue_of(self, push: Push) -> QueueName:
        """The class of a push's target; ``other`` where its connection isn't known."""
        ...

    async def of(self, push: Push) -> Target:
        """Open. Raises TargetRefused, TargetUnavailable."""
        ...

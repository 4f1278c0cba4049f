"""One instant in all partitions: chosen, waited for, held, read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from agents.backfill.versions.catalog import Catalog
from agents.follow.replicas import Replica, Replicas
from agents.pushes.contract.target import TargetRefused
from agents.pushes.snapshot.hold import Hold
from agents.pushes.snapshot.membership import Deciding
from agents.pushes.snapshot.undone import InstantPassed
from tables.row_store import RowStore

LOOK_SECONDS: Final = 0.2


class AudienceMissing(TargetRefused):
    """Nobody decides the audience: it isn't published, or it was deleted."""


@dataclass(frozen=True, slots=True)
class HeldPartition:
    """One partition as it was right after the instant."""

    store: RowStore
    deciding: Deciding


@dataclass(frozen=True, slots=True)
class HeldInstant:
    """All partitions, by number, for as long as the hold lasts."""

    instant_ms: int
    audience_version: int
    partitions: Mapping[int, HeldPartition]


class Snapshots:
    """Holds the followed partitions at instants, one list at a time."""

    def __init__(
        self,
        hold: Hold,
        replicas: Callable[[], Replicas | None],
        catalog: Callable[[], Catalog],
        wall_ms: Callable[[], int],
    ) -> None:
        self._hold = hold
        self._replicas = replicas
        self._catalog = catalog
        self._wall_ms = wall_ms
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def held(
        self, project: str, audience: str, wants_exit: bool, waits: Callable[[str], None]
    ) -> AsyncIterator[HeldInstant]:
        """All partitions at one instant. ``waits`` is told what is waited for.

        Raises AudienceMissing, InstantPassed (another instant is needed).
        """
        async with self._turn:
            try:
                known = await self._ready(project, audience, waits)
                clocks = (each.view.stream_time_ms for each in known.values())
                instant_ms = max(self._wall_ms(), self._hold.least_ms(), *clocks)
                self._hold.begin(project, audience, instant_ms, known)
                past = asyncio.create_task(self._hold.all_past(known))
                while not (await asyncio.wait([past], timeout=LOOK_SECONDS))[0]:
                    waits(f"partitions {_some(self._hold.waits_for)} aren't past the instant yet")
                past.result()
                yield self._of(project, audience, wants_exit, instant_ms, known)
            finally:
                self._hold.end()

    async def _ready(self, project: str, audience: str, waits: Callable[[str], None]) -> dict[int, Replica]:
        while True:
            self._check_published(project, audience)
            replicas = self._replicas()
            reason = "the changelog isn't followed yet" if replicas is None else None
            if replicas is not None:
                reason = _why_not(replicas, f"{project}/{audience}")
                if reason is None:
                    return dict(replicas.known)
            waits(reason or "")
            await asyncio.sleep(LOOK_SECONDS)

    def _check_published(self, project: str, audience: str) -> None:
        catalog, name = self._catalog(), f"{project}/{audience}"
        version = catalog.wanted.get(name)
        if version is None:
            raise AudienceMissing(f"there is no audience '{audience}' in project {project}")
        if catalog.published(name, version).deleted:
            raise AudienceMissing(f"audience '{audience}' of project {project} was deleted")

    def _of(
        self,
        project: str,
        audience: str,
        wants_exit: bool,
        instant_ms: int,
        known: Mapping[int, Replica],
    ) -> HeldInstant:
        partitions: dict[int, HeldPartition] = {}
        versions = set()
        for number, replica in sorted(known.items()):
            rules = replica.view.rules.project(project)
            compiled = rules.by_id(audience)
            if compiled is None or not _is_quiet(replica):
                raise InstantPassed("definitions changed while the partitions came to the instant")
            undone = self._hold.undone(number)
            deciding = Deciding(rules, compiled, instant_ms, undone, wants_exit)
            partitions[number] = HeldPartition(replica.followed.reading.store, deciding)
            versions.add(compiled.version)
        if len(versions) != 1:
            raise InstantPassed("definitions changed while the partitions came to the instant")
        return HeldInstant(instant_ms, versions.pop(), partitions)


def _why_not(replicas: Replicas, name: str) -> str | None:
    """Why no instant can be chosen now; None: it can."""
    known = replicas.known
    behind = [n for n in range(replicas.partitions) if n not in known or not known[n].stands]
    if behind:
        return f"partitions {_some(behind)} are not read to their ends"
    versions = {known[n].cut.active.get(name) for n in known}  # type: ignore[union-attr]
    if None in versions or len(versions) > 1:
        return "the audience isn't ready in all partitions"
    if busy := [n for n, each in known.items() if not _is_quiet(each)]:
        return f"partitions {_some(busy)} take in new definitions"
    return None


def _is_quiet(replica: Replica) -> bool:
    """No row waits to be looked at under other rules."""
    return replica.stands and replica.view.grafting is None and not replica.view.sweeping


def _some(partitions: list[int]) -> str:
    """Of many only the first."""
    told = ", ".join(map(str, partitions[:8]))
    return told if len(partitions) <= 8 else f"{told} and {len(partitions) - 8} more"

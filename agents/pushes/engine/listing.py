"""Making a run's list: the snapshot into the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import Push
from agents.pushes.contract.rows import Made
from agents.pushes.contract.target import TargetRefused
from agents.pushes.snapshot.reading import read_members
from agents.pushes.snapshot.snapshot import HeldInstant, Snapshots
from agents.pushes.snapshot.undone import InstantPassed
from agents.pushes.spool import Spools, SpoolWriter
from tables.store_faults import StoreBroken, StoreClosed

log = structlog.get_logger("turnstile.pushes")

AGAIN_SECONDS: Final = 1.0


class TooManyIds(TargetRefused):
    """The list has as many ids as a push may have, or more."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What was spooled."""

    instant_ms: int
    audience_version: int
    members: int
    rows: int
    bytes: int
    by_id: dict[str, int]
    without: dict[str, int]
    refused: dict[str, int]


async def make_list(
    spools: Spools,
    snapshots: Snapshots,
    push: Push,
    run_id: str,
    list_id: str,
    waits: Callable[[str], None],
) -> Listed:
    """Spool the members of the push's audience at one instant. Raises TargetRefused, OSError."""
    while True:
        try:
            async with snapshots.held(push.project, push.audience, bool(push.content.exit_at), waits) as held:
                return await _spool(spools, held, push, run_id, list_id)
        except (InstantPassed, StoreClosed, StoreBroken) as error:
            log.info("instant_given_up", run=run_id, reason=str(error))
            waits(f"another instant is needed: {error}")
            await asyncio.sleep(AGAIN_SECONDS)


async def _spool(spools: Spools, held: HeldInstant, push: Push, run_id: str, list_id: str) -> Listed:
    rows = Rows(push.content)
    writer = spools.begin(run_id, list_id)
    try:
        for number, partition in held.partitions.items():
            writer.begin_part(number)

            def make(members: list[Member]) -> tuple[Made, list[str]]:
                return rows.make(members), [each.user_id for each in members]

            async with aclosing(read_members(partition.store, partition.deciding, make)) as pages:
                async for made, users in pages:
                    writer.add(made, users)
                    writer.is_counted_only = writer.rows >= push.max_ids
        _check_count(writer, push)
        await asyncio.to_thread(writer.finish, held.instant_ms, rows.header, rows.is_framed)
    except BaseException:
        writer.close()
        spools.erase(run_id)
        raise
    return Listed(
        held.instant_ms,
        held.audience_version,
        writer.members,
        writer.rows,
        writer.size_bytes,
        dict(writer.by_id),
        dict(writer.without),
        dict(writer.refused),
    )


def _check_count(writer: SpoolWriter, push: Push) -> None:
    if writer.rows >= push.max_ids:
        raise TooManyIds(
            f"there are {writer.rows:,} ids, and this push takes fewer than {push.max_ids:,} (max_ids)"
        )

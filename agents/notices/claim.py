"""Which process tells: of all delivery workers the one that has the partition of the topic of notices.

A process that slept while it lost the partition can't note anything any more, and so sends nothing that is
sent once (``agents.registry.leading``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog

from agents.kafka.broker import Broker
from agents.notices.notes import Note, Notes, note_record
from agents.notices.notice import NoticeKey
from agents.notices.teller import Write
from agents.registry.leading import Leading
from agents.registry.leading import Write as WriteRecords
from agents.warnings import Warnings

log = structlog.get_logger("turnstile.notices")

STOPPED: Final = "notices_stopped"
"""The code of the warning that nothing is told now."""

Tell = Callable[[Notes, Write], Awaitable[None]]
"""Tells until it is cancelled, given what was noted before."""


class Claim(Leading[Notes]):
    """Of one process. ``group`` names the consumer group and the producer."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        group: str,
        tell: Tell,
        warnings: Warnings,
        *,
        fences: bool,
        **group_times: int,
    ) -> None:
        async def lead(notes: Notes, write: WriteRecords) -> None:
            log.info("tells_notices", topic=topic, noted=len(notes.published))

            async def write_notes(of: Sequence[tuple[NoticeKey, Note | None]]) -> None:
                await write([note_record(*each) for each in of])

            await tell(notes, write_notes)

        text = "notices aren't sent by this process now, and it tries again"
        told = STOPPED, text
        super().__init__(
            broker, partial(Notes, topic), group, lead, warnings, told, fences=fences, **group_times
        )

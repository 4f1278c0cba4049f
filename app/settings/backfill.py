"""Definitions over time: what an edit may change, and what computing the past may take."""

from __future__ import annotations

from agents.backfill.replay.throttle import ReplayLimits
from app.settings.values import Section, Size, Whole, setting, size, whole

GIB = 1024**3
_MIB = 1024**2


class AudiencesSettings(Section):
    """Definitions of audiences over time (docs/semantics.md, section 8a)."""

    max_change: Whole = whole(
        20,
        0,
        1_000_000,
        "An edit that would change the membership of more than this share (%) of an audience's members is "
        "held until somebody releases it.",
    )
    max_per_project: Whole = whole(
        10_000, 1, 1_000_000, "How many audiences a project may have; deleting one makes room."
    )


class BackfillSettings(Section):
    """What computing the past of new audiences and edits may take of a worker; live records come first."""

    cpu_share: Whole = whole(
        25,
        1,
        100,
        "The share (%) of a core that it takes while live records come; without them it takes all of it.",
    )
    bytes_per_second: Size | None = setting(
        None,
        "bytes, such as 10MiB, from 64KiB to 1024GiB",
        "The most that it reads from Kafka in a second, over all partitions; by default it isn't bounded.",
        ge=64 * 1024,
        le=1024 * GIB,
    )
    max_disk_bytes: Size = size(
        20 * GIB,
        64 * _MIB,
        1024 * GIB,
        "The most that its scratch stores take on disk, over all partitions; with more it waits.",
    )

    @property
    def limits(self) -> ReplayLimits:
        return ReplayLimits(self.cpu_share / 100, self.bytes_per_second, self.max_disk_bytes)

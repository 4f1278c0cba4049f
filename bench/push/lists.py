"""Members out of nothing, and their list in a spool as the core writes it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import AttributeColumn, Content, Format, IdColumn, Push, RowFormat
from agents.pushes.contract.spooled import SpooledList, SpooledPart

AT_ONCE: Final = 1_000
CITIES: Final = ("Oslo", "Bergen", "Shanghai", "München", "Paris, 5e")
TIERS: Final = ("gold", "silver", "none")
INSTANT_MS: Final = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """A list, and what its rows and its spool took, without what the members themselves took."""

    spooled: SpooledList
    seconds: float
    cpu_seconds: float


def content(kind: Format, gzip: bool = False) -> Content:
    """One hashed id and three attributes."""
    return Content(
        ids=(IdColumn("email", "sha256", column="email"),),
        attributes=tuple(AttributeColumn((name,), name) for name in ("city", "tier", "spent")),
        format=RowFormat(kind, gzip),
    )


def members(first: int, count: int) -> Iterator[list[Member]]:
    for begin in range(first, first + count, AT_ONCE):
        yield [
            Member(
                f"user-{at}",
                {"email": f"User.{at}@Example.com"},
                {"city": CITIES[at % 5], "tier": TIERS[at % 3], "spent": at % 1_000 + 0.5},
                INSTANT_MS - at,
            )
            for at in range(begin, min(begin + AT_ONCE, first + count))
        ]


def make_list(folder: Path, kind: Format, count: int, partitions: int, gzip: bool = False) -> Made:
    """The list of so many members, in parts of partitions."""
    own = content(kind, gzip)
    maker = Rows(own)
    parts, seconds, cpu_seconds = [], 0.0, 0.0
    for partition in range(partitions):
        path = folder / f"{kind}-{partition}"
        begin, end = partition * count // partitions, (partition + 1) * count // partitions
        digest, rows, size = hashlib.sha256(), 0, 0
        with path.open("wb") as file:
            for some in members(begin, end - begin):
                began, cpu_began = time.perf_counter(), time.process_time()
                made = maker.make(some)
                file.write(made.data)
                digest.update(made.data)
                seconds += time.perf_counter() - began
                cpu_seconds += time.process_time() - cpu_began
                rows += made.rows
                size += len(made.data)
        parts.append(SpooledPart(partition, path, end - begin, rows, size, digest.hexdigest()))
    push = Push("bench", "buyers", "target", content=own)
    spooled = SpooledList(
        run_id="run",
        list_id=f"list-{time.time_ns()}",
        push=push,
        instant_ms=INSTANT_MS,
        header=maker.header,
        is_framed=maker.is_framed,
        parts=tuple(parts),
        by_id={"email": count},
        without={"email": 0},
    )
    return Made(spooled, seconds, cpu_seconds)

"""Lists as the core spools them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from agents.pushes.content.rows import Rows
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import AttributeColumn, Content, IdColumn, Push, RowFormat
from agents.pushes.contract.spooled import SpooledList, SpooledPart

INSTANT_MS = 1_790_000_000_000
CONTENT = Content(ids=(IdColumn("email", "md5"),), attributes=(AttributeColumn(("city",), "town"),))


def members(count: int, start: int = 0) -> list[Member]:
    return [
        Member(f"u{at}", {"email": f"u{at}@example.com"}, {"city": f"Town, {at}"}, INSTANT_MS - at)
        for at in range(start, start + count)
    ]


def spooled(
    folder: Path,
    content: Content = CONTENT,
    parts: Sequence[Sequence[Member]] = (members(3), [], members(2, 3)),
    list_id: str = "list-1",
    run_id: str = "run-1",
) -> SpooledList:
    """One part a partition of the table."""
    maker = Rows(content)
    made = [maker.make(each) for each in parts]
    found = []
    for at, each in enumerate(made):
        path = folder / f"{list_id}-{at}"
        path.write_bytes(each.data)
        digest = hashlib.sha256(each.data).hexdigest()
        found.append(SpooledPart(at, path, len(parts[at]), each.rows, len(each.data), digest))
    return SpooledList(
        run_id=run_id,
        list_id=list_id,
        push=Push("buyers", "buyers", "store", content=content),
        instant_ms=INSTANT_MS,
        header=maker.header,
        is_framed=maker.is_framed,
        parts=tuple(found),
        by_id={key: sum(each.by_id[key] for each in made) for key in made[0].by_id},
        without={key: sum(each.without[key] for each in made) for key in made[0].without},
    )


GZIPPED = Content(CONTENT.ids, CONTENT.attributes, format=RowFormat(gzip=True))


def no_progress(rows: int) -> None: ...

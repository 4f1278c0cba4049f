"""Where a live feed is in the transitions topic: what ``Last-Event-ID`` says.

A position is an offset for each partition, which means the same to every process. So any process goes on
where another one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.http.problems import HttpProblem

MOST_CHARS = 20_000
MOST_DIGITS = 18


class FeedGone(HttpProblem):
    """410: what came after a position can't be told any more."""

    def __init__(self, partition: int, why: str) -> None:
        detail = (
            f"Last-Event-ID: partition {partition} of the transitions {why}, so transitions would be missing"
        )
        super().__init__(
            410, "Gone", detail, hint="ask without Last-Event-ID, and look up who is in the audience"
        )


def shown(positions: Mapping[int, int]) -> str:
    """The offsets of the next records in the order of the partitions: ``12.0.7``."""
    return ".".join(str(positions[each]) for each in sorted(positions))


def read(text: str, begins: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    """The position that ``shown`` gave, on a topic that now has records from ``begins`` to ``ends``.

    Partitions that the topic has got since are read from their begin. Raises HttpProblem: 400 for what
    ``shown`` never gave; FeedGone where retention has taken records, or the topic isn't the one of that time.
    """
    parts = text.split(".")
    if len(text) > MOST_CHARS or not all(_is_number(each) for each in parts):
        raise HttpProblem(400, "Bad request", "Last-Event-ID is no id of an event of this feed")
    given = dict(enumerate(map(int, parts)))
    for partition, position in given.items():
        if partition not in ends:
            raise FeedGone(partition, "is no more")
        if position > ends[partition]:
            raise FeedGone(partition, f"ends at {ends[partition]}, before {position}")
        if position < begins[partition]:
            raise FeedGone(partition, f"begins at {begins[partition]}, after {position}")
    return {each: given.get(each, begins[each]) for each in ends}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS

"""``min_position``: how far a reader must have come before it answers, for those who read what they wrote.

A position is what a producer is told of its record: ``topic/partition@offset``; several are joined by commas.
``latest`` is everything that was in the changelog when the request came. That is what readers of transitions
want, because a row is in the changelog before its transition goes out.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MOST_POSITION_CHARS: Final = 4_000
LATEST: Final = "latest"
WRITTEN: Final = f"topic/partition@offset, several of them with commas between, or {LATEST}"
_POSITION: Final = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})@([0-9]{1,18})", re.ASCII)


class PositionUnreadable(ValueError):
    """A text is no position."""


class Position(NamedTuple):
    """A record of a source topic."""

    topic: str
    partition: int
    offset: int


def positions_of(text: str) -> list[Position]:
    """Empty for ``latest``. Raises PositionUnreadable."""
    if text == LATEST:
        return []
    found: list[Position] = []
    for each in text.split(","):
        match = _POSITION.fullmatch(each.strip())
        if match is None:
            raise PositionUnreadable(f"min_position is {WRITTEN}")
        found.append(Position(match[1], int(match[2]), int(match[3])))
    return found

"""What a lookup asks of each user, for whoever answers in JSON (``turnstile_core.Asked``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Question(NamedTuple):
    """``audiences``: ids of those to tell of; None: all that the user is in."""

    project: str
    audiences: Sequence[str] | None
    at_ms: int
    """The instant, if stream time is not beyond it."""
    status: str = "ok"
    """Of users who are known."""
    more: str = ""
    """Fields that come last, as JSON with a comma in front."""

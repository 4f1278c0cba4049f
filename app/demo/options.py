"""What the command line asks of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

DAYS_PER_SECOND = 9.1
"""Plays the 546 days in a minute."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for. None: decided when it is known where the output goes."""

    days_per_second: float | None = DAYS_PER_SECOND
    """None: as fast as it goes."""
    broker: str | None = None
    """``host:port`` of a Kafka to use; None: an embedded one."""
    customers: int | None = None
    until: date | None = None
    plain: bool | None = None
    keep: bool | None = None
    """Go on serving after the log's end; None: when someone is watching."""
    port: int | None = None
    """Of HTTP; None: 6066, or the next free one."""

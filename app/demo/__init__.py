"""``turnstile demo``: a broker, a worker and 18 months of real purchases, to watch in a terminal.

The same worker, topics and rules as in production; only the time is the log's (``app.demo.replay``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

DAYS_PER_SECOND = 9.1
"""Plays the 546 days in a minute."""


@dataclass(frozen=True, slots=True)
class Options:
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


def run(options: Options | None = None) -> None:
    """Run the demo in the main thread; returns after its end or Ctrl-C."""
    import asyncio

    from app.demo.show import show

    asyncio.run(show(options or Options()))

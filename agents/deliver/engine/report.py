"""What is known of one destination's delivery: shown by ``deliver status``, HTTP and metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class DestinationReport:
    """Counts since the start of this process. Instants are wall clock ms; None: not yet."""

    state: str = "starting"
    """``starting, connecting, running, retrying, misconfigured, paused, crashed, stopped``; while they hold
    ``joining`` and ``unreachable`` are shown instead (``app.deliver.destination.Running.state``)."""
    delivered: int = 0
    """Transitions that the destination has."""
    filtered: int = 0
    """Transitions that it doesn't want."""
    requests: int = 0
    """Batches sent."""
    retries: int = 0
    """Transitions sent again, those of unknown outcome included."""
    unknown: int = 0
    """Transitions of which it is not known whether the destination took them; they were sent again."""
    dead_letters: int = 0
    backfilled: int = 0
    """Current members that were sent first."""
    expired: int = 0
    """Transitions that retention took from the topic before they could be sent."""
    in_hand: int = 0
    last_success_ms: int | None = None
    last_error_ms: int | None = None
    last_error: str | None = None

    def error(self, text: str) -> None:
        """Note an error; the text is free of secrets."""
        self.last_error = text
        self.last_error_ms = time.time_ns() // 1_000_000

    def success(self) -> None:
        self.last_success_ms = time.time_ns() // 1_000_000

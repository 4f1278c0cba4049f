"""Where Kafka is and how to speak to it; no client library is loaded for knowing it.

``agents.kafka.clients`` makes consumers, producers and admin clients from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agents.kafka.security import NO_SECURITY, Security

IsolationLevel = Literal["read_committed", "read_uncommitted"]


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Kafka is, and how to speak to it."""

    bootstrap: str
    security: Security = NO_SECURITY
    session_timeout_ms: int = 45_000
    rebalance_timeout_ms: int = 60_000
    heartbeat_interval_ms: int = 3_000
    metadata_max_age_ms: int = 30_000
    isolation_level: IsolationLevel = "read_committed"

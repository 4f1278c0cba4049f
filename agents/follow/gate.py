"""Whether the next records of a followed partition may be taken: somebody may need a store as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from agents.follow.followed import Followed


class Gate(Protocol):
    """Asked before records are taken, and between polls."""

    def admit(self, followed: Followed, records: Sequence[Any]) -> int:
        """How many of the next records may be taken, from the first on. If not all, the gate is shut then."""
        ...

    def is_shut(self, partition: int) -> bool:
        """Nothing more is taken until it is open again."""
        ...


class OpenGate:
    """Everything is taken as it comes."""

    def admit(self, followed: Followed, records: Sequence[Any]) -> int:
        return len(records)

    def is_shut(self, partition: int) -> bool:
        return False

"""What became of a delivery. ``agents.deliver.contract.sink`` says what follows from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """For good. ``code`` is for programs (``http_400``, ``too_large``), ``reason`` for people."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken; send again, at the earliest after ``retry_after_s``."""

    code: str
    reason: str
    retry_after_s: float | None = None
    whole: bool = False
    """All lanes pause, not this user alone."""
    needs_change: bool = False
    """It won't pass without a change of a secret, of rights, of the destination: shown as an alert."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps taken; send again."""

    code: str
    reason: str
    retry_after_s: float | None = None
    whole: bool = False


Outcome: TypeAlias = Delivered | Rejected | Retry | Unknown

DELIVERED = Delivered()

"""Why a record can't be used."""

from __future__ import annotations


class RecordRefused(Exception):
    """A record can't be used. ``code`` is stable; ``stage`` is decode, validate, apply or clock."""

    def __init__(self, code: str, message: str, stage: str = "validate") -> None:
        super().__init__(message)
        self.code = code
        self.stage = stage

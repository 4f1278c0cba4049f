"""What the settings let one record bring, and how long its id counts."""

from __future__ import annotations

from agents.steps import Limits
from app.settings import Settings


def limits_of(settings: Settings) -> Limits:
    records = settings.records
    return Limits(
        max_bytes=records.max_bytes,
        max_attributes_bytes=records.max_attributes_bytes,
        dedupe_ms=settings.dedupe.window_ms,
        dedupe_ids=settings.state.max_samples,
    )

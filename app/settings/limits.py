"""What the settings let one record bring, and how long its id counts."""

from __future__ import annotations

from agents.evaluate.steps import Limits
from app.settings.tree import Settings
from rules.state.dedupe import dedupe_of


def limits_of(settings: Settings) -> Limits:
    records = settings.records
    return Limits(
        max_bytes=records.max_bytes,
        max_attributes_bytes=records.max_attributes_bytes,
        dedupe=dedupe_of(settings.dedupe.window_ms, settings.state.max_samples),
    )

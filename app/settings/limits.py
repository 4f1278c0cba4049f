"""What the settings let one record bring, how it is written, and how long its id counts."""

from __future__ import annotations

from agents.evaluate.steps import Limits
from app.settings.formats import formats_of
from app.settings.tree import Settings
from rules.state.dedupe import dedupe_of


def limits_of(settings: Settings) -> Limits:
    records = settings.records
    return Limits(
        max_bytes=records.max_bytes,
        max_attributes_bytes=records.max_attributes_bytes,
        formats=formats_of(settings.sources),
        dedupe=dedupe_of(settings.dedupe.window_ms, settings.state.max_samples),
    )

"""Warnings about destinations that don't run, or that get less than they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agents.deliver.definitions.published import PublishedDestinations
from agents.deliver.permissions.audiences import audience_refusals
from agents.warnings import Warnings
from rules.compile.audience import PublishedAudience


def note_refused(
    warnings: Warnings,
    published: PublishedDestinations,
    wanted: PublishedDestinations,
    running: Mapping[str, object],
) -> None:
    """Say which destinations don't run because of what this version, or their connection, doesn't take.

    ``wanted``: what this process is to deliver to; ``running``: what it delivered to before.
    """
    for name in published:
        refused = wanted[name].definition.refused if name in wanted else ""
        if refused and name not in running:
            warnings.note("destination_refused", name, f"destination {name} doesn't run: {refused}")
        elif not refused:
            warnings.clear("destination_refused", name)


def note_lacking(
    warnings: Warnings,
    published: PublishedDestinations,
    wanted: PublishedDestinations,
    audiences: Collection[PublishedAudience],
) -> None:
    """Say which destinations name audiences that were deleted, or that were never there."""
    for name in published:
        lacking = audience_refusals(wanted[name].definition, audiences) if name in wanted else []
        if lacking:
            text = f"destination {name} gets nothing of some of its audiences: {'; '.join(lacking)}"
            warnings.note("destination_lacks_audience", name, text)
        else:
            warnings.clear("destination_lacks_audience", name)

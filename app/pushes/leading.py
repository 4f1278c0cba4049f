"""What leads, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from agents.deliver.definitions.destination import RetryPolicy
from agents.pushes.contract.target import Targets
from agents.pushes.engine.book import Book
from agents.pushes.engine.leader import Leader
from agents.pushes.engine.runner import ErasedSince, Runner
from agents.pushes.published import PublishedPush
from agents.pushes.runs import Request
from agents.pushes.snapshot.snapshot import Snapshots
from agents.pushes.spool import Spools
from app.settings.pushes import PushesSettings

LONGEST_PAUSE_MS: Final = 60_000
"""Between two attempts at a target that isn't available."""


def leader_of(
    settings: PushesSettings,
    book: Book,
    pushes: Callable[[], Mapping[str, PublishedPush]],
    requests: Callable[[], Sequence[Request]],
    targets: Targets,
    snapshots: Snapshots,
    spools: Spools,
    erased_since: ErasedSince,
) -> Leader:
    """For as long as a process leads."""
    retry = RetryPolicy(for_ms=settings.retry_ms, most_ms=LONGEST_PAUSE_MS)
    limits = {"kafka": settings.kafka_runs, "module": settings.module_runs, "other": settings.other_runs}
    return Leader(
        book,
        pushes,
        requests,
        Runner(book, targets, snapshots, spools, erased_since, retry),
        targets,
        spools,
        limits,  # type: ignore[arg-type]
        history=settings.history,
        spool_ms=settings.keep_lists_ms,
    )

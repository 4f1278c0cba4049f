"""The engine of a worker, as the settings say."""

from __future__ import annotations

from collections.abc import Iterable

from agents.evaluate.native.engine import Engine
from agents.kafka.raw.hooks import RawFetches
from app.settings.formats import formats_of
from app.settings.tree import Settings


def engine_of(settings: Settings) -> Engine:
    """Raises CoreMissing."""
    return Engine(settings.worker.engine, threads=settings.worker.threads)


def raw_fetches_of(engine: Engine, settings: Settings, sources: Iterable[str]) -> RawFetches | None:
    """Which source topics' records may stay in the bytes of their fetch; None: no topic's."""
    core = engine.core
    if core is None:
        return None
    native = frozenset(sources) - formats_of(settings.sources).keys()
    return RawFetches(native.__contains__, core.Fetched, core.UnusualFetch)

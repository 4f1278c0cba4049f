"""Taking over a partition before its first step: it goes on from its last cut."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from aiokafka.structs import TopicPartition

from agents.backfill.history.reader import HistoryLost
from agents.backfill.replay.computing import Place
from agents.backfill.upkeep.kept import Kept
from agents.backfill.upkeep.regraft import shadow_at
from agents.backfill.versions.catalog import Catalog
from agents.backfill.versions.cuts import everything_short
from agents.evaluate.pipeline import Pipeline
from tables.cut import Cut

log = structlog.get_logger("turnstile.backfill")


async def adopted(
    place: Place, catalog: Catalog, pipeline: Pipeline, sources: Sequence[TopicPartition]
) -> Kept:
    """The partition as it is kept from here on. Raises VersionMissing, KafkaError."""
    kept = Kept(pipeline, sources)
    cut = pipeline.last_cut
    if cut is None:
        await _begin(place, catalog, kept)
    elif lost := _lost(catalog, pipeline, cut):
        # The definitions topic was made again and accepted: what was published since stands for it.
        kept.active = {each: version for each, version in cut.active.items() if each not in lost}
        kept.active |= {each: catalog.wanted[each] for each in lost if each in catalog.wanted}
        kept.first = cut.short
        pipeline.define(catalog.rules(kept.active))
    else:
        kept.active = dict(cut.active)
        await _go_on(place, catalog, kept, cut)
    return kept


async def _begin(place: Place, catalog: Catalog, kept: Kept) -> None:
    """There was no cut yet: the partition is new, or a program before cuts has left it."""
    pipeline = kept.pipeline
    has_rows = bool(pipeline.positions.offsets)
    if has_rows or not await place.runs(kept.partition):
        kept.active = dict(catalog.wanted)
    rules = catalog.rules(kept.active)
    # Nobody knows on how much history older rows rest.
    kept.first = everything_short(rules, pipeline.stream_time_ms) if has_rows else {}
    pipeline.define(rules)


async def _go_on(place: Place, catalog: Catalog, kept: Kept, cut: Cut) -> None:
    pipeline, rules = kept.pipeline, catalog.rules(kept.active)
    if not cut.shadow or pipeline.swept == rules.fingerprint:
        pipeline.cut_at(cut, rules, None)
        return
    try:
        shadow = await shadow_at(place, catalog, pipeline, kept.sources, cut)
    except HistoryLost as lost:
        # Its scratch store is gone, and so is the history: rows are decided by what they hold.
        log.error("graft_given_up", partition=kept.partition, reason=str(lost))
        kept.first = everything_short(rules, pipeline.stream_time_ms)
        pipeline.define(rules)
    else:
        pipeline.cut_at(cut, rules, shadow)


def _lost(catalog: Catalog, pipeline: Pipeline, cut: Cut) -> set[str]:
    """The audiences whose versions were on a definitions topic that was lost, which somebody has accepted."""
    floor = pipeline.ground.version_floor
    return {
        audience
        for audience, version in cut.active.items()
        if version <= floor and version not in catalog.versions.get(audience, {})
    }

"""The shadow of a cut whose rows are not all grafted: as it was left, or computed again up to the cut."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from aiokafka.structs import TopicPartition

from agents.backfill.replay.computing import BEHIND_ROWS, Place, drive, extent_for
from agents.backfill.replay.throttle import ReplayLimits, Seen, Throttle
from agents.backfill.versions.catalog import Catalog
from agents.backfill.versions.pending import closure
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from tables.cut import Cut
from tables.profiles import Profiles

log = structlog.get_logger("turnstile.backfill")


class CutPlace:
    """Where the live stream stood at a cut."""

    def __init__(self, live: Pipeline, cut: Cut, sources: Sequence[TopicPartition]) -> None:
        self.stream_time_ms = cut.stream_time_ms
        source = live.place.source
        self._ends = {tp: cut.positions.get(source(tp.topic, tp.partition), -1) + 1 for tp in sources}

    def ends(self) -> Mapping[TopicPartition, int]:
        return self._ends


async def shadow_at(
    place: Place, catalog: Catalog, live: Pipeline, sources: Sequence[TopicPartition], cut: Cut
) -> Shadow:
    """The shadow of ``cut``, at exactly its positions and stream time. Raises HistoryLost, KafkaError."""
    partition = live.place.partition
    stands = CutPlace(live, cut, sources)
    opened = place.scratch.open(partition, cut.shadow, place.memory)
    rules = catalog.rules(cut.active)
    targets = {
        f"{project}/{rules.project(project).by_key[key].id}"
        for project, each in cut.targets.items()
        for key in each
        if key in rules.project(project).by_key
    }
    computed = catalog.rules_of(closure(catalog, cut.active, targets), cut.active)
    shadow = Shadow(live, Profiles(opened.store, place.cache_rows, BEHIND_ROWS), computed, cut.begin_ms)
    try:
        if opened.extent is not None and _is_at(shadow, stands):
            return shadow
        log.warning("shadow_computed_again", partition=partition)
        extent = opened.extent
        if extent is None:
            extent = await extent_for(place, partition, sources, cut.begin_ms or None)
            place.scratch.begin(partition, cut.shadow, extent)
        # The partition takes no live records before this is done, so there is nothing to leave room for.
        unbound = Throttle(ReplayLimits(), Seen)
        replayer = drive(place, live, shadow, extent, stands, lambda _, __, ___: None, unbound)
        following = asyncio.create_task(replayer.run(), name="replay to the cut")
        try:
            while not replayer.can_finish():
                near = asyncio.create_task(replayer.is_near.wait())
                await asyncio.wait({near, following}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                near.cancel()
                if following.done():
                    following.result()
            replayer.finish()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        shadow.flush()
    except BaseException:
        shadow.close()
        raise
    return shadow


def _is_at(shadow: Shadow, stands: CutPlace) -> bool:
    return shadow.stream_time_ms == stands.stream_time_ms and all(
        shadow.position_of(tp.topic, tp.partition) + 1 == end for tp, end in stands.ends().items()
    )

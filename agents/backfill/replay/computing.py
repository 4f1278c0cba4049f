"""One computation: a shadow of one partition, until it stands beside the live stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from agents.backfill.history.extent import Extent, begin_ms_of, begins_of, extent_of
from agents.backfill.history.history import History
from agents.backfill.history.imports import Run
from agents.backfill.replay.live import LivePartition
from agents.backfill.replay.reach import check_reach
from agents.backfill.replay.replayer import Live as Stands
from agents.backfill.replay.replayer import Replayer, Tell
from agents.backfill.replay.scratch import ScratchStores, identity_of
from agents.backfill.replay.skip import Sieve
from agents.backfill.replay.throttle import Throttle
from agents.backfill.versions.catalog import Catalog
from agents.backfill.versions.cuts import Computation
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from agents.registry.audiences import encode_audience
from rules.model.lookback import asked_ms, replays_everything
from tables.profiles import Profiles
from tables.store import RocksMemory

BEHIND_ROWS = 500
"""So many rows its store may be behind: they are written in some 2 ms, and the live stream waits for that."""


class Place(Protocol):
    """What computations need of the worker."""

    scratch: ScratchStores
    memory: RocksMemory
    cache_rows: int
    """Decoded rows that the shadow of one partition keeps."""
    throttle: Throttle

    def new_consumer(self) -> AIOKafkaConsumer: ...
    def reading_consumer(self) -> AIOKafkaConsumer:
        """One for a ``History``."""
        ...

    async def runs(self, partition: int) -> list[Run]:
        """Of the history topics, for a partition of the table."""
        ...


@dataclass(slots=True)
class Opened:
    """A shadow with all that drives it."""

    made: Computation
    shadow: Shadow
    replayer: Replayer
    name: str
    """Of its scratch store."""


def from_ms_of(catalog: Catalog, made: Computation, at_ms: int, dedupe_ms: int) -> int | None:
    """From when on the history is read; None: everything there is."""
    bodies = {each: catalog.published(each, made.active[each]).audience for each in made.audiences}
    if all(each.history_ms == 0 for each in made.targets):
        return max(1, at_ms)
    longest = 0
    for audience in bodies.values():
        mine = {each.id: each for each in bodies.values() if each.project == audience.project}
        if replays_everything([audience], mine):
            return None
        asked = asked_ms(audience, mine, dedupe_ms, at_ms)
        if asked is None:
            return None
        longest = max(longest, asked)
    return max(1, at_ms - longest - dedupe_ms)


async def open_shadow(
    place: Place,
    live: Pipeline,
    sources: Callable[[], Sequence[TopicPartition]],
    catalog: Catalog,
    compute: Callable[[int], Computation],
    dedupe_ms: int,
    tell: Tell,
) -> Opened:
    """The shadow of a computation, where an earlier life has left it or new. ``sources``: those of the
    live stream now. ``compute`` gets ``begin_ms``.

    Raises HistoryShort, StoreUnusable, KafkaError.
    """
    partition, draft = live.place.partition, compute(0)
    definitions = [encode_audience(catalog.published(each, draft.active[each])) for each in draft.audiences]
    name = identity_of([*definitions, str(draft.targets).encode()])
    opened = place.scratch.open(partition, name, place.memory)
    try:
        extent = opened.extent
        async with place.new_consumer() as consumer:
            begins = await begins_of(consumer, sources())
            if extent is None:
                runs = await place.runs(partition)
                check_reach(catalog, draft, begins, runs, live.stream_time_ms, dedupe_ms)
                from_ms = from_ms_of(catalog, draft, live.stream_time_ms, dedupe_ms)
                extent = await extent_of(consumer, runs, sources(), from_ms)
                place.scratch.begin(partition, name, extent)
        made = compute(begin_ms_of(extent, begins, live.stream_time_ms))
        rules = catalog.rules_of(made.audiences, made.active)
        shadow = Shadow(
            live,
            Profiles(opened.store, place.cache_rows, BEHIND_ROWS),
            rules,
            made.begin_ms,
            {run.topic for run in extent.runs},
        )
    except BaseException:
        opened.store.close()
        raise
    stands = LivePartition(live, sources)
    return Opened(made, shadow, drive(place, live, shadow, extent, stands, tell, place.throttle), name)


async def extent_for(
    place: Place, partition: int, sources: Sequence[TopicPartition], from_ms: int | None
) -> Extent:
    """What there is to read of a partition of the table now."""
    runs = await place.runs(partition)
    async with place.new_consumer() as consumer:
        return await extent_of(consumer, runs, sources, from_ms)


def drive(
    place: Place,
    live: Pipeline,
    shadow: Shadow,
    extent: Extent,
    stands: Stands,
    tell: Tell,
    throttle: Throttle,
) -> Replayer:
    """What brings a shadow to where ``stands`` is."""
    history_topics = {run.topic for run in extent.runs}
    sieve = Sieve(shadow.rules, live.limits.formats, live.place.repartition_topic, history_topics)
    history = History(place.reading_consumer, extent, shadow.position_of)
    return Replayer(shadow, history, sieve, throttle, stands, tell, live.judge.refuses)

"""The partitions that the group gives a worker: what Faust calls when batches come and partitions move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiokafka.structs import TopicPartition
from faust.types import TP

from agents.backfill.upkeep.upkeep import Upkeep
from agents.evaluate.evaluator import Evaluator
from agents.evaluate.outputs import Told
from agents.evaluate.pipeline import Pipeline
from agents.faust.batch import Batch
from agents.identities.follower import IdentityFollower
from agents.kafka.lost_records import lost_text
from agents.kafka.placement import table_partition
from agents.kafka.producer import Producer
from agents.kafka.sources import learn_partitions
from agents.registry.audiences_feed import AudiencesFeed
from agents.restore.resend import send_again
from agents.restore.restorer import Restorer
from agents.topics import TopicPlan
from agents.topics.written import WrittenTopics
from app.worker.metrics import WorkerMetrics
from app.worker.standbys import Standbys
from app.worker.topic_watch import TopicWatch


class Assigned:
    """What the evaluator holds is what was assigned last."""

    def __init__(
        self,
        plan: TopicPlan,
        topics: WrittenTopics,
        producer: Producer,
        evaluator: Evaluator,
        restorer: Restorer,
        watch: TopicWatch,
        feed: AudiencesFeed,
        metrics: WorkerMetrics,
        told: Told,
        upkeep: Upkeep,
        standbys: Standbys,
        identities: IdentityFollower,
    ) -> None:
        self._plan = plan
        self._topics = topics
        self._producer = producer
        self._evaluator = evaluator
        self._restorer = restorer
        self._watch = watch
        self._feed = feed
        self._metrics = metrics
        self._told = told
        self._upkeep = upkeep
        self._standbys = standbys
        self._identities = identities
        self._sources: Mapping[int, Sequence[TP]] = {}

    def sources_of(self, partition: int) -> Sequence[TP]:
        """The source partitions whose records a partition of the table takes; before the first rebalance,
        those of its own number."""
        known = self._sources.get(partition)
        return [TP(topic, partition) for topic in self._plan.sources] if known is None else known

    async def take(self, batch: Batch, ack: Callable[[], object]) -> None:
        if batch.tp.topic == self._plan.repartition:
            await learn_partitions(self._topics.sources, batch.records, self._producer)
        partition = table_partition(batch.tp.partition, self._topics.partitions)
        await self._evaluator.take(partition, batch.records, ack)

    def pause(self) -> None:
        """A rebalance began."""
        self._evaluator.paused = True

    def lost(self, tp: TopicPartition, first: int, there: int) -> None:
        """Retention took records of a source before they were read."""
        place = f"{tp.topic}/{tp.partition}"
        self._metrics.records_lost.labels(tp.topic, str(tp.partition)).inc(there - first)
        text = lost_text(place, first, there, "read", "the workers'")
        self._told.warnings.note("records_lost", place, text, there - first)

    def taken(self, tp: TopicPartition) -> int:
        """The offset after the last record of a source that is in the state; 0: there is none."""
        task = self._evaluator.tasks.get(table_partition(tp.partition, self._topics.partitions))
        return 0 if task is None else task.pipeline.position_of(tp.topic, tp.partition) + 1

    async def restore(self, sources: Mapping[int, Sequence[TP]], is_current: Callable[[], bool]) -> None:
        """Hold these partitions, with their sources; keep what is held already and still up to date."""
        evaluator, partitions = self._evaluator, set(sources)
        await self._watch.check()
        await evaluator.drain()
        kept = partitions & evaluator.tasks.keys()
        if kept:
            ends = await self._restorer.ends(kept)
            kept = {
                each for each in kept if ends[each] == evaluator.tasks[each].pipeline.outgoing.changelog_next
            }
        for partition in set(evaluator.tasks) - kept:
            await self._upkeep.drop(partition)
        evaluator.drop(set(evaluator.tasks) - kept)
        self._standbys.make_way(partitions)
        pipelines, pending = await self._restorer.open(partitions - kept)
        try:
            await self._watch.check_restored(pipelines, sources, self._feed)
            if is_current():
                await send_again(self._producer, self._topics, pending, self._told)
            for partition, pipeline in pipelines.items():
                if is_current():
                    await self._upkeep.adopt(pipeline, _topic_partitions(sources[partition]))
        except BaseException:
            for partition in pipelines:
                await self._upkeep.drop(partition)
            _close(pipelines)
            raise
        if not is_current():
            for partition in pipelines:
                await self._upkeep.drop(partition)
            _close(pipelines)  # they may be another's already; the next assignment says what is still ours
            return
        for partition in kept:
            self._upkeep.moved(partition, _topic_partitions(sources[partition]))
        evaluator.adopt(pipelines)
        if partitions:  # in the middle of a rebalance a worker may hold none for a moment
            self._upkeep.forget_others(partitions)
            self._identities.hold(partitions)
        self._sources = sources
        evaluator.paused = False
        self._standbys.look()
        self._metrics.partitions.set(len(evaluator.tasks))
        self._metrics.restored_rows.set(self._restorer.rows_restored)


def _close(pipelines: Mapping[int, Pipeline]) -> None:
    for pipeline in pipelines.values():
        pipeline.close()


def _topic_partitions(sources: Sequence[TP]) -> list[TopicPartition]:
    return [TopicPartition(*each) for each in sources]

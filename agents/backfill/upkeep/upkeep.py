"""Keeping every partition of a worker at the versions that are published (docs/semantics.md, section 8a).

    published ──▶ at once ───────────────────────────────────────────▶ cut ──▶ sweep ──▶ ready
              └─▶ computed from the history ──▶ counted ──▶ (held) ──┘

``turn`` is called between the steps of a partition and makes its cuts; computations run beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence, Set
from functools import partial

import structlog
from aiokafka.structs import TopicPartition

from agents.backfill.history.reader import HistoryLost
from agents.backfill.progress.progress import ProgressOfVersions, VersionState, is_held, state_of
from agents.backfill.replay.computing import Opened, Place, open_shadow
from agents.backfill.replay.reach import HistoryShort
from agents.backfill.upkeep.adopt import adopted
from agents.backfill.upkeep.counting import count_moved
from agents.backfill.upkeep.kept import Kept, Telling, here, is_given_up
from agents.backfill.upkeep.pending_view import PendingView, pending_view
from agents.backfill.versions.catalog import Active, Catalog
from agents.backfill.versions.cuts import Computation, computation_of, cut_at_once, cut_of, new_and_short
from agents.backfill.versions.pending import Target, pending_of, unhindered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Step

log = structlog.get_logger("turnstile.backfill")


class Upkeep:
    """All partitions of one worker. ``crash`` ends the worker, because of a bug."""

    def __init__(
        self,
        place: Place,
        progress: ProgressOfVersions,
        telling: Telling,
        partitions: int,
        max_change_percent: float,
        dedupe_ms: int,
        crash: Callable[[BaseException], None],
    ) -> None:
        self._place = place
        self._progress = progress
        self._telling = telling
        self._partitions = partitions
        self._max_change = max_change_percent
        self._dedupe_ms = dedupe_ms
        self._crash = crash
        self.catalog = Catalog({}, {})
        self._kept: dict[int, Kept] = {}
        self._held: set[tuple[str, int]] = set()
        """Versions that this worker found to be held: the topic tells it only some moments later."""

    # -- partitions ----------------------------------------------------------------------------------

    async def adopt(self, pipeline: Pipeline, sources: Sequence[TopicPartition]) -> None:
        """Take over a partition before its first step. Raises VersionMissing, KafkaError."""
        kept = await adopted(self._place, self.catalog, pipeline, sources)
        self._kept[kept.partition] = kept
        self._look(kept)

    async def drop(self, partition: int) -> None:
        """The partition is no longer ours, or the worker ends. Its computation's files stay."""
        kept = self._kept.pop(partition, None)
        if kept is None:
            return
        tasks = kept.tasks
        opened = kept.end()
        await asyncio.gather(*tasks, return_exceptions=True)
        if opened is not None:
            opened.shadow.flush()
            opened.shadow.close()

    async def close(self) -> None:
        """Drop all."""
        for partition in list(self._kept):
            await self.drop(partition)

    def moved(self, partition: int, sources: Sequence[TopicPartition]) -> None:
        """A partition that is kept takes the records of these source partitions from here on."""
        self._kept[partition].sources = sources

    def define(self, catalog: Catalog) -> None:
        """Other versions are published, or some are released."""
        self.catalog = catalog
        for kept in self._kept.values():
            kept.failed.clear()
            self._look(kept)

    def forget_others(self, partitions: Set[int]) -> None:
        """Only these partitions are this worker's. The scratch stores of others would fill its allowance."""
        self._place.scratch.remove_others(partitions)

    @property
    def pending(self) -> list[int]:
        """The partitions that are not at the published versions, but for those that are held."""
        return sorted(each.partition for each in self._kept.values() if not each.pending.is_empty)

    def state(self, project: str, audience: str, version: int) -> VersionState:
        """How far a version is: what the topic says, and of this worker's partitions what is so now."""
        told = self._progress.of(project, audience, version)
        return state_of({**told, **here(self._kept.values(), project, audience, version)}, self._partitions)

    def pending_view(self, partition: int, audience: str, user_id: str) -> PendingView | None:
        """What a pending version of an audience (``project/id``) says of a user; None: there is none."""
        return pending_view(self._kept.get(partition), self.catalog, self._progress, audience, user_id)

    # -- steps ---------------------------------------------------------------------------------------

    def turn(self, pipeline: Pipeline) -> list[Step]:
        """Between two steps of a partition: its cut, if it is time for one."""
        kept = self._kept.get(pipeline.place.partition)
        if kept is None:
            return []
        if kept.first is not None:
            return [self._first_cut(kept)]
        if pipeline.sweeping:
            return []
        self._swept(kept)
        if kept.pending.at_once:
            return [self._cut_at_once(kept)]
        if kept.opened is not None and kept.opened.replayer.is_near.is_set():
            return self._cut_computed(kept, kept.opened)
        if not kept.tasks and kept.pending.groups:
            kept.targets, kept.counted = kept.pending.groups[0], None
            self._run(kept, self._compute(kept, kept.targets), "history")
        return []

    def _first_cut(self, kept: Kept) -> Step:
        rules = self.catalog.rules(kept.active)
        cut = cut_at_once(kept.pipeline, kept.active, rules, kept.first)
        kept.first = None
        return kept.pipeline.cut(cut, rules)

    def _cut_at_once(self, kept: Kept) -> Step:
        pipeline, catalog, last = kept.pipeline, self.catalog, kept.pipeline.last_cut
        versions = dict(kept.pending.at_once)
        after = {**kept.active, **versions}
        old, new = catalog.rules(kept.active), catalog.rules(after)
        short = new_and_short(old, new, {} if last is None else last.short, pipeline.stream_time_ms)
        step = pipeline.cut(cut_at_once(pipeline, after, new, short), new)
        if kept.opened is None or not versions.keys().isdisjoint(kept.opened.made.audiences):
            self._end(kept)  # what it computes rests on the versions before
        self._is_cut(kept, after, versions)
        return step

    def _cut_computed(self, kept: Kept, opened: Opened) -> list[Step]:
        """Cut with those targets that may come out; the others wait, some of them for their release."""
        pipeline = kept.pipeline
        if pipeline.overdue or not opened.replayer.can_finish():
            return []
        verdicts = {each: self._may_come(each, kept) for each in self._still_wanted(kept)}
        if None in verdicts.values():
            self._make_way(kept, tuple(verdicts))
            return []
        held = {each.audience: each.version for each, may in verdicts.items() if not may}
        for audience, version in set(held.items()) - self._held:
            log.warning("version_held", audience=audience, version=version, partition=kept.partition)
        self._held |= set(held.items())
        self._telling.state(kept, held, "held")
        coming = tuple(each for each, may in verdicts.items() if may)
        coming = unhindered(self.catalog, opened.made.active, coming, opened.made.targets)
        if not coming:
            self._end(kept)
            return []
        # Planned once more, because other versions may have come into force at once meanwhile.
        made = self._computation(kept, coming, opened.made.begin_ms)
        opened.replayer.finish()
        opened.shadow.flush()
        step = pipeline.cut(cut_of(pipeline, made, opened.name), made.rules, opened.shadow)
        kept.end()  # the graft has the shadow from here on
        self._is_cut(kept, made.active, {each.audience: each.version for each in coming})
        return [step]

    def _make_way(self, kept: Kept, wanted: tuple[Target, ...]) -> None:
        """Where something else is to be computed first by now: all partitions agree on that order.
        Otherwise two could wait for each other's counts for ever."""
        groups = kept.pending.groups
        if kept.counted is not None and groups and groups[0] != wanted:
            self._end(kept)

    def _is_cut(self, kept: Kept, after: Active, versions: Active) -> None:
        kept.active = dict(after)
        kept.swept_step, kept.is_told, kept.has_files = None, False, True
        self._telling.state(kept, versions, "cut")
        self._look(kept)

    def _swept(self, kept: Kept) -> None:
        """Every row was looked at. When Kafka has what came of it, versions are ready and files may go."""
        if kept.swept_step is None:
            kept.swept_step = kept.pipeline.step
        if kept.swept_step > kept.pipeline.outgoing.acked_step:
            return
        if not kept.is_told:
            kept.is_told = True
            self._telling.ready(kept)
        self._telling.computed(kept)
        # What is still to be computed may go on in the files of an earlier life.
        if kept.has_files and not kept.tasks and not kept.pending.groups:
            self._place.scratch.remove(kept.partition)
            kept.has_files = False

    # -- computations --------------------------------------------------------------------------------

    async def _compute(self, kept: Kept, targets: tuple[Target, ...]) -> None:
        """Bring a shadow beside the live stream, and keep it there until its cut."""
        try:
            opened = await open_shadow(
                self._place,
                kept.pipeline,
                lambda: kept.sources,
                self.catalog,
                partial(self._computation, kept, targets),
                self._dedupe_ms,
                partial(self._telling.replaying, kept),
            )
            if is_given_up():
                opened.shadow.close()
                return
            kept.opened = opened
            self._telling.state(kept, {each.audience: each.version for each in targets}, "replaying")
            self._run(kept, self._count(kept, opened), "count")
            await opened.replayer.run()
        except HistoryLost as lost:
            log.warning("history_lost", partition=kept.partition, reason=str(lost))
            # Otherwise it is begun anew, which tells whether what is left is enough.
            for target, reason in (lost.reasons if isinstance(lost, HistoryShort) else {}).items():
                kept.failed.add(target)
                self._telling.state(kept, {target.audience: target.version}, "failed", reason)
            self._end(kept)

    async def _count(self, kept: Kept, opened: Opened) -> None:
        """Once the shadow is near, count what edits will change, and tell it.

        Near is not enough: of a short log it is near before it has read anything.
        """
        await opened.replayer.is_near.wait()
        await opened.replayer.wait_level()
        if any(each.is_edit for each in opened.made.targets):
            throttle = self._place.throttle
            kept.counted = await count_moved(
                kept.pipeline, opened.shadow, opened.made, throttle.wait, throttle.note
            )
            self._telling.counted(kept)

    def _run(self, kept: Kept, work: Coroutine[None, None, None], name: str) -> None:
        """A part of the partition's computation. What it raises is a bug, unless it was given up: its store
        and files may go a moment before it ends."""

        async def run() -> None:
            try:
                await work
            except Exception as error:
                if is_given_up():
                    log.info("given_up", partition=kept.partition, error=repr(error))
                else:
                    self._crash(error)

        kept.tasks.append(asyncio.create_task(run(), name=f"{name} of partition {kept.partition}"))

    def _end(self, kept: Kept) -> None:
        """Give the computation up, with what it has computed."""
        opened = kept.end()
        if opened is not None:
            opened.shadow.close()
            self._place.scratch.remove(kept.partition)
        self._look(kept)

    def _computation(self, kept: Kept, targets: tuple[Target, ...], begin_ms: int) -> Computation:
        last = kept.pipeline.last_cut
        short = {} if last is None else last.short
        return computation_of(self.catalog, kept.active, targets, short, begin_ms)

    # -- what is wanted ------------------------------------------------------------------------------

    def _look(self, kept: Kept) -> None:
        """What the partition lacks now; a computation of which nothing is wanted any more ends."""
        waits = kept.failed
        kept.pending = pending_of(self.catalog, kept.active, lambda it: it in waits or self._is_held(it))
        if kept.targets and not self._still_wanted(kept):
            self._end(kept)

    def _still_wanted(self, kept: Kept) -> list[Target]:
        return [each for each in kept.targets if self.catalog.wanted.get(each.audience) == each.version]

    def _may_come(self, target: Target, kept: Kept) -> bool | None:
        """Whether a target may come out now; False: it is held; None: some partitions haven't counted."""
        if not target.is_edit or (target.audience, target.version) in self.catalog.released:
            return True
        project, name = target.audience.split("/", 1)
        version = self._progress.state(project, name, target.version, self._partitions)
        if kept.counted is None or version.waits_for_counts:
            return None
        return not is_held(version, self._max_change, released=False)

    def _is_held(self, target: Target) -> bool:
        name = target.audience, target.version
        if not target.is_edit or name in self.catalog.released:
            return False
        project, audience = target.audience.split("/", 1)
        known = self._progress.state(project, audience, target.version, self._partitions)
        return name in self._held or known.state == "held"

"""One partition that is kept at the published versions, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from agents.backfill.progress.progress import Progress, ProgressKey, State
from agents.backfill.progress.writer import ProgressWriter
from agents.backfill.replay.computing import Opened
from agents.backfill.upkeep.instants import Instants
from agents.backfill.versions.catalog import Active
from agents.backfill.versions.cuts import Short
from agents.backfill.versions.pending import Pending, Target
from agents.evaluate.pipeline import Pipeline
from rules.model.keys import audience_key

NOTHING: Final = Pending({}, ())
_REPLAYING: Final = Progress("replaying")


@dataclass(slots=True)
class Kept:
    """One partition. ``first``: its first cut is still to be noted, with these states known to be short."""

    pipeline: Pipeline
    sources: Sequence[TopicPartition]
    active: dict[str, int] = field(default_factory=dict)
    pending: Pending = NOTHING
    first: Short | None = None
    targets: tuple[Target, ...] = ()
    """Of the computation that runs."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    opened: Opened | None = None
    counted: dict[Target, Progress] | None = None
    """What edits will change; None: nobody has counted yet."""
    failed: set[Target] = field(default_factory=set)
    """Those whose history is gone; they are tried again when something is published."""
    swept_step: int | None = None
    """The step with which the last sweep was over; None: it isn't, as far as is known here."""
    is_told: bool = False
    """The versions in force are told to be ready."""
    instants: Instants = field(default_factory=Instants)
    """Those of batch audiences that are behind it."""
    has_files: bool = True
    """The scratch store of a shadow that is grafted may still be there."""

    @property
    def partition(self) -> int:
        return self.pipeline.place.partition

    def end(self) -> Opened | None:
        """No computation runs from here on; its shadow, to be closed or grafted."""
        for task in self.tasks:
            task.cancel()
        opened, self.opened = self.opened, None
        self.tasks, self.targets = [], ()
        return opened


def is_given_up() -> bool:
    """Whether the task that asks was cancelled, although it goes on: libraries swallow cancellations."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Telling:
    """What readers of the progress topic learn."""

    def __init__(self, writer: ProgressWriter) -> None:
        self._writer = writer

    def state(self, kept: Kept, versions: Active, state: State, reason: str = "") -> None:
        """These versions came into a state."""
        for audience, version in versions.items():
            from_ms = history_from_ms(kept, audience) if state in ("cut", "ready") else None
            progress = Progress(state, history_from_ms=from_ms, reason=reason)
            self._writer.note(key_of(kept, audience, version), progress)

    def replaying(self, kept: Kept, done: int, total: int, reason: str) -> None:
        """How far the computation is that runs."""
        counted = kept.counted or {}
        for target in kept.targets:
            progress = replace(counted.get(target, _REPLAYING), done=done, total=total, reason=reason)
            self._writer.note(key_of(kept, target.audience, target.version), progress)

    def counted(self, kept: Kept) -> None:
        """What the targets will change at their cut."""
        for target, progress in (kept.counted or {}).items():
            self._writer.note(key_of(kept, target.audience, target.version), progress)

    def computed(self, kept: Kept) -> None:
        """Batch audiences have another compute instant behind them. Ask once they are told to be ready."""
        for audience, at_ms in kept.instants.passed(kept.pipeline, kept.active).items():
            progress = Progress("ready", history_from_ms=history_from_ms(kept, audience), computed_ms=at_ms)
            self._writer.note(key_of(kept, audience, kept.active[audience]), progress)

    def ready(self, kept: Kept) -> None:
        """Every row was looked at for the versions that decide."""
        for audience, version in kept.active.items():
            progress = Progress("ready", history_from_ms=history_from_ms(kept, audience))
            self._writer.note_again(key_of(kept, audience, version), progress)


def history_from_ms(kept: Kept, audience: str) -> int | None:
    """Where the history of an audience begins that looks back further; None: it is complete."""
    cut = kept.pipeline.last_cut
    project, name = audience.split("/", 1)
    compiled = kept.pipeline.rules.project(project).by_key.get(audience_key(project, name))
    if cut is None or compiled is None or project not in cut.short:
        return None
    short = cut.short[project]
    return max((short[key] for key, _ in compiled.leaves if key is not None and key in short), default=None)


def here(partitions: Iterable[Kept], project: str, audience: str, version: int) -> dict[int, Progress]:
    """Of the partitions where a version is in force, how far it is now."""
    found: dict[int, Progress] = {}
    for kept in partitions:
        if kept.active.get(f"{project}/{audience}") == version:
            from_ms = history_from_ms(kept, f"{project}/{audience}")
            state: State = "cut" if is_being_grafted(kept, project, audience) else "ready"
            found[kept.partition] = Progress(state, history_from_ms=from_ms)
    return found


def key_of(kept: Kept, audience: str, version: int) -> ProgressKey:
    project, name = audience.split("/", 1)
    return ProgressKey(project, name, version, kept.partition)


def is_being_grafted(kept: Kept, project: str, audience: str) -> bool:
    """Whether rows are still to be looked at for this audience; for others a sweep changes nothing."""
    pipeline = kept.pipeline
    if pipeline.grafting is None or pipeline.last_cut is None:
        return False
    return audience_key(project, audience) in pipeline.last_cut.targets.get(project, ())

"""Which compute instants of batch audiences a partition has behind it, all that came of them durable."""

from __future__ import annotations

from collections.abc import Mapping

from agents.backfill.versions.catalog import Active
from agents.evaluate.pipeline import Pipeline
from rules.model.keys import audience_key
from rules.time.instants import FAR_MS
from rules.time.schedules import ComputeInstants


class Instants:
    """Of one partition. Ask ``passed`` between its steps."""

    def __init__(self) -> None:
        self._active: Active | None = None
        self._schedules: Mapping[str, ComputeInstants] = {}
        """Of the batch audiences that are active, by ``project/id``."""
        self._next_ms = -FAR_MS
        """Before this instant none of them has another one."""
        self._decided: tuple[int, int] | None = None
        """A stream time up to which every timer had fired, and the last step by then."""

    def passed(self, pipeline: Pipeline, active: Active) -> Mapping[str, int]:
        """The latest compute instant of each batch audience, by ``project/id``; empty: none has another one
        than at the last time."""
        if active is not self._active:
            self._active, self._decided, self._next_ms = active, None, -FAR_MS
            self._schedules = _schedules(pipeline, active)
        if not self._schedules:
            return {}
        if self._decided is None and pipeline.stream_time_ms >= self._next_ms and not pipeline.overdue:
            self._decided = pipeline.stream_time_ms, pipeline.step
        if self._decided is None or self._decided[1] > pipeline.outgoing.acked_step:
            return {}
        decided_ms, self._decided = self._decided[0], None
        coming = [each.next(decided_ms) for each in self._schedules.values()]
        self._next_ms = min((each for each in coming if each is not None), default=FAR_MS)
        latest = {name: each.latest(decided_ms) for name, each in self._schedules.items()}
        return {name: at_ms for name, at_ms in latest.items() if at_ms is not None}


def _schedules(pipeline: Pipeline, active: Active) -> Mapping[str, ComputeInstants]:
    found: dict[str, ComputeInstants] = {}
    for name in active:
        project, audience = name.split("/", 1)
        compiled = pipeline.rules.project(project).by_key.get(audience_key(project, audience))
        if compiled is not None and compiled.schedule is not None:
            found[name] = compiled.schedule
    return found

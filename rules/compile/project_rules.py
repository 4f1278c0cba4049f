"""The rules of one project: what the decider looks up per record (``rules.decide.decide``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.compile.audience import CompiledAudience, PublishedAudience
from rules.compile.by_time import NOTHING_BY_TIME, ByTime
from rules.compile.destination import CompiledDestination
from rules.compile.event_index import NO_EVENTS, EventIndex
from rules.compile.readers import Readers
from rules.state.condition import AnyCondition
from rules.state.profile_update import Watched


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The audiences of one project, ready to decide."""

    audiences: tuple[CompiledAudience, ...] = ()
    conditions: Mapping[int, AnyCondition] = field(default_factory=dict)
    readers: Mapping[int, Readers] = field(default_factory=dict)
    """Per key of a condition."""
    by_time: ByTime = NOTHING_BY_TIME
    by_event: Mapping[str, EventIndex] = field(default_factory=dict)
    any_event: EventIndex = NO_EVENTS
    by_attribute: Mapping[str, Readers] = field(default_factory=dict)
    """Per root name of an attribute."""
    watched: Watched = field(default_factory=dict)
    """Paths deep in attributes, per root name, whose changes are noted."""
    batch_audiences: tuple[int, ...] = ()
    """Indexes of the batch audiences."""
    twins: Mapping[int, int] = field(default_factory=dict)
    """Of conditions of batch audiences, by key: the key of the same condition of a realtime one."""
    initial: tuple[int, ...] = ()
    """Audiences whose rule holds for a user of whom nothing is known yet."""
    is_nested: bool = False
    """Some audience's rule asks about another audience."""
    by_key: Mapping[int, CompiledAudience] = field(default_factory=dict)
    gone: Mapping[int, PublishedAudience] = field(default_factory=dict)
    """Deleted audiences by key: rows may still have members of them."""
    destinations: tuple[CompiledDestination, ...] = ()
    """Those that get events (``rules.compile.destinations``), by name."""

    def by_id(self, audience_id: str) -> CompiledAudience | None:
        for audience in self.audiences:
            if audience.id == audience_id:
                return audience
        return None


NO_RULES: Final = ProjectRules()

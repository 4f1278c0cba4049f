"""What is the same for every kind of change of definitions: who asks, when, and what stands beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from agents.backfill.history.completeness import LogBegin
from agents.deliver.definitions.destination import Destination
from app.publish.author import Author
from rules.parse.definitions import MAX_SAMPLES

Expected = Mapping[bytes, Collection[int]]
"""By ``project/id``: the versions of which one must be there, 0 for none. Others may be at any version."""
ANY_VERSION: Expected = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ask:
    """What is the same for every kind of change."""

    author: Author
    now_ms: int
    """By the wall clock."""
    version_floor: int = 0
    """Versions of new definitions begin above it."""
    logs: Sequence[LogBegin] = ()
    """Where the source topics begin."""
    deciding: Mapping[bytes, int] = field(default_factory=lambda: MappingProxyType({}))
    """By ``project/id``: the version that decides in all partitions, as far as it is known."""
    dedupe_ms: int = 0
    destinations: Sequence[Destination] = ()
    """What transitions are delivered to; asked for where audiences are deleted."""
    max_samples: int = MAX_SAMPLES
    """The setting ``state.max_samples``, by which definitions are checked."""
    expected: Expected = field(default_factory=lambda: ANY_VERSION)
    max_audiences: int | None = None
    """How many audiences a project may have; None: any number."""

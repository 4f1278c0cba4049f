"""Which audiences time alone may change: found by the state in a row, not by looking at every audience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.compile.readers import Readers
from rules.state.row import Row
from rules.time.schedules import ComputeInstants


@dataclass(frozen=True, slots=True)
class ByTime:
    """Which audiences time alone may change, by what they need of a row for that."""

    conditions: Mapping[int, Readers]
    """A condition's state, by its key."""
    attributes: Mapping[str, Readers]
    """An attribute, by its root name."""
    members: Mapping[int, tuple[int, ...]]
    """A membership, by the audience's key."""
    batch_groups: tuple[BatchGroup, ...]

    def of(self, row: Row) -> set[int]:
        """The audiences that time alone may change for this user, batch ones aside."""
        states, found, conditions = row.conditions, set[int](), self.conditions
        for key in states:
            readers = conditions.get(key)
            if readers is not None:
                found.update(readers.of(states))
        for name, readers in self.attributes.items():
            if name in row.attributes or name in row.changed_ms:
                found.update(readers.of(states))
        for key, audiences in self.members.items():
            if key in row.audiences:
                found.update(audiences)
        return found


@dataclass(frozen=True, slots=True)
class BatchGroup:
    """Batch audiences with the same compute instants, the only ones at which they change."""

    schedule: ComputeInstants
    readers: Readers
    members: Mapping[int, int]
    """Index by key. A member has to leave even if no state of an anchor is left."""

    def of(self, row: Row) -> list[int]:
        """Those that may change for this user."""
        audiences = row.audiences
        found = [index for key, index in self.members.items() if key in audiences]
        return [*found, *self.readers.of(row.conditions)]


NOTHING_BY_TIME = ByTime({}, {}, {}, ())

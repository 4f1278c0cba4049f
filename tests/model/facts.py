"""What is known of a user, and what of it a rule sees at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.operators import MISSING, reach, same_json

Json = Any


@dataclass
class Happened:
    """An event of a user: its clamped time, and the instant at which it was applied. In arrival order."""

    arrival: int
    applied_ms: int
    time_ms: int
    name: str
    properties: dict[str, Json]
    fits: dict[int, bool] = field(default_factory=dict)
    """Of each ``where`` that it was once asked for; properties don't change."""

    @property
    def order(self) -> tuple[int, int]:
        return self.time_ms, self.arrival


@dataclass
class Known:
    """Everything that is known of one user."""

    first_ms: int
    last_ms: int
    events: list[Happened] = field(default_factory=list)
    versions: list[tuple[int, dict[str, Json]]] = field(default_factory=list)
    """The attributes after each update, with the instant of it."""
    stays: dict[str, list[int]] = field(default_factory=dict)
    """Per audience the instants of its transitions: enter, exit, enter, ..."""
    applied_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    """When the event of a name and id was last applied."""

    def if_nothing_happens(self) -> Known:
        """A copy to let time pass on; it shares what only records change."""
        stays = {name: [*instants] for name, instants in self.stays.items()}
        return Known(self.first_ms, self.last_ms, self.events, self.versions, stays, self.applied_ids)


@dataclass
class View:
    """A user as a rule sees it at ``at_ms``. A batch audience sees what was applied by then, and happened
    before. ``zone`` is the audience's."""

    user: Known
    at_ms: int
    zone: str
    batch: bool = False

    def events(self) -> list[Happened]:
        found = [each for each in self.user.events if each.time_ms <= self.at_ms]
        if self.batch:
            found = [each for each in found if each.applied_ms <= self.at_ms and each.time_ms < self.at_ms]
        return found

    def _versions(self) -> list[tuple[int, dict[str, Json]]]:
        return [each for each in self.user.versions if each[0] <= self.at_ms]

    def attributes(self) -> dict[str, Json]:
        versions = self._versions()
        return versions[-1][1] if versions else {}

    def changed_ms(self, dotted: str) -> int | None:
        """When the value of a dotted name last became another, or came to be, or went."""
        before, changed = MISSING, None
        for applied_ms, attributes in self._versions():
            value = reach(attributes, dotted)
            if not same_json(value, before):
                changed = applied_ms
            before = value
        return changed

    def since(self, audience: str) -> int | None:
        """The instant of the entry into an audience that the user is in; None: isn't in it."""
        instants = [each for each in self.user.stays.get(audience, ()) if each <= self.at_ms]
        return instants[-1] if len(instants) % 2 else None

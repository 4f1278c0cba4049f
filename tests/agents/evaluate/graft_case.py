"""A partition and its log, written by hand: what a publication does there."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from agents.evaluate.steps import Limits
from rules.state.row import Transition
from tests.agents.evaluate.grafts import (
    HISTORY,
    Publication,
    Way,
    looked_up,
    new_pipeline,
    parsed,
    settled,
    swept,
    time_passes,
)
from tests.driver.partition import Rec

Json = Any
START = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
A_LOT = Limits()


def audience(audience_id: str, rule: Json, **rest: Any) -> Json:
    return {"id": audience_id, "name": audience_id, "rule": rule} | rest


class Case:
    """One partition and its log; instants in hours after ``START``."""

    def __init__(
        self,
        *history: tuple[float, Json],
        skips: bool = False,
        trims: bool = False,
        limits: Limits = A_LOT,
    ) -> None:
        records = [rec(HISTORY, at, hours, body) for at, (hours, body) in enumerate(history)]
        self.publication = Publication(new_pipeline(limits), START, Way(records, skips, trims), DAY)
        self.live = self.publication.live
        self.log: list[Rec] = []
        self.told: list[Transition] = []

    def track(self, hours: float, event: str, user: str = "ann", **rest: Any) -> None:
        self._take(hours, {"user_id": user, "event": event} | rest)

    def profile(self, hours: float, user: str = "ann", **update: Any) -> None:
        self._take(hours, {"type": "profile", "user_id": user} | update)

    def _take(self, hours: float, body: Json) -> None:
        self.log.append(rec("events", len(self.log), hours, body))
        self.told += settled(self.live, self.live.apply(self.log[-1:]))

    def passes(self, hours: float) -> None:
        self.told += time_passes(self.live, ms(hours))

    def publish(self, *definitions: Json, sweep: bool = True) -> list[Json]:
        """Publish these in place of those before; what came of it."""
        self.told += swept(self.live)
        self.told += self.publication.cut(parsed(list(definitions)), self.log, Random(1))
        return self.sweep() if sweep else []

    def sweep(self) -> list[Json]:
        made = swept(self.live)
        self.told += made
        return [story(each) for each in made]

    def members(self, user: str = "ann") -> dict[str, float] | None:
        found = looked_up(self.live, user, self.live.stream_time_ms)
        return None if found is None else {name: hours_of(at_ms) for name, at_ms in found.items()}

    @property
    def last(self) -> Json:
        return story(self.told[-1])


def rec(topic: str, offset: int, hours: float, body: Json) -> Rec:
    return Rec(topic, 0, offset, ms(hours), body["user_id"].encode(), json.dumps(body).encode())


def ms(hours: float) -> int:
    return START + round(hours * HOUR)


def hours_of(at_ms: int) -> float:
    return (at_ms - START) / HOUR


def story(each: Transition) -> Json:
    """(audience, seq, cause, at, entered at), instants in hours."""
    return each.audience, each.seq, each.cause, hours_of(each.at_ms), hours_of(each.entered_at_ms)

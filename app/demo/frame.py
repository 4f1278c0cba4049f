"""One look at the running demo: the numbers that the views show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.demo.counts import CountedTransition
from app.demo.purchases import regular_customer
from app.demo.rates import Rate
from app.demo.stage import Stage
from rules.model.language import Audience

TREND_POINTS = 36
"""Dates of the log at which members are counted for the bars."""


@dataclass(frozen=True, slots=True)
class AudienceLine:
    """One audience. ``trend``: members at evenly spaced dates so far."""

    id: str
    name: str
    members: int
    enters: int
    exits: int
    trend: Sequence[int]


@dataclass(frozen=True, slots=True)
class Frame:
    """Instants in ms; rates per second; ``lag`` in records."""

    date_ms: int
    share: float
    purchases: int
    records: int
    record_rate: float
    transitions: int
    transition_rate: float
    lag: int
    dead_letters: int
    state: str
    lines: Sequence[AudienceLine]
    latest: Sequence[CountedTransition]
    names: Mapping[str, str]
    url: str
    customer: str

    @property
    def date(self) -> str:
        return day_of(self.date_ms)


class FrameSource:
    """Takes frames off a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._records, self._transitions = Rate(), Rate()
        self._trends: dict[str, list[int]] = {each.id: [] for each in stage.audiences}
        self._customer = regular_customer(stage.purchases)

    def frame(self) -> Frame:
        stage, replay, counts = self._stage, self._stage.replay, self._stage.counts
        now = time.monotonic()
        evaluated = stage.evaluated()
        date_ms = stage.date_ms
        share = (date_ms - replay.start_ms) / (replay.end_ms - replay.start_ms)
        self._sample(share)
        return Frame(
            date_ms=date_ms,
            share=share,
            purchases=replay.purchases_sent,
            records=evaluated,
            record_rate=self._records.at(now, evaluated),
            transitions=counts.transitions,
            transition_rate=self._transitions.at(now, counts.transitions),
            lag=max(0, replay.sent - evaluated),
            dead_letters=stage.dead_letters(),
            state="; ".join(stage.worker.not_ready()) or stage.halfway.told or "ready",
            lines=[
                AudienceLine(
                    each.id,
                    self._name(each),
                    counts.members[each.id],
                    counts.enters[each.id],
                    counts.exits[each.id],
                    self._trends[each.id],
                )
                for each in stage.audiences
            ],
            latest=list(counts.latest)[::-1],
            names={each.id: each.name for each in stage.audiences},
            url=stage.worker.advertised_url,
            customer=self._customer,
        )

    def _name(self, audience: Audience) -> str:
        """With a mark as long as it isn't published."""
        halfway = self._stage.halfway
        is_to_come = audience is halfway.audience and not halfway.is_published
        return f"{audience.name} (to come)" if is_to_come else audience.name

    def _sample(self, share: float) -> None:
        for audience, trend in self._trends.items():
            while len(trend) < int(share * TREND_POINTS):
                trend.append(self._stage.counts.members[audience])


def day_of(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def lookup(frame: Frame) -> str:
    """A command that shows the audiences of a customer who buys often."""
    return f"curl -s {frame.url}/v1/users/{frame.customer}/audiences"

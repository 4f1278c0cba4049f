"""The demo's audiences over the real pipeline, held against figures counted from the purchases."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

import pytest

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place
from app.demo.needs import load_audiences
from app.demo.purchases import Purchase, end_of_log, load_purchases, records_of, start_of
from app.simulate.lines import LineRecord
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.app.demo.figures import AUDIENCES, figures, members_at


class WholeLog:
    """Purchases through one partition's pipeline, as far as asked."""

    def __init__(self, purchases: Iterable[Purchase]) -> None:
        self.pipeline = Pipeline(Place(0, 1), Profiles(MemoryStore(), 1_000_000), Limits())
        self.pipeline.define(compile_rules([PublishedAudience(each, 1) for each in load_audiences()], 1000))
        self.members: dict[str, set[str]] = {name: set() for name in AUDIENCES}
        self.enters: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()
        self._records = self._to_records(purchases)
        self._next = next(self._records, None)

    @staticmethod
    def _to_records(purchases: Iterable[Purchase]) -> Iterator[LineRecord]:
        offsets = itertools.count()
        for purchase in purchases:
            for record in records_of(purchase):
                yield LineRecord(next(offsets), record.at_ms, record.key, record.value)

    def until(self, now_ms: int) -> None:
        """Everything before ``now_ms``, and the time up to it."""
        while self._next is not None and self._next.timestamp < now_ms:
            self._advance(self._next.timestamp)
            self._take(self.pipeline.apply([self._next]))
            self._next = next(self._records, None)
        self._advance(now_ms)

    def _advance(self, now_ms: int) -> None:
        self._take(self.pipeline.punctuate(now_ms, 1000))
        while self.pipeline.overdue:
            self._take(self.pipeline.punctuate(now_ms, 1000))

    def _take(self, step: Step) -> None:
        assert not step.dead
        for each in step.transitions:
            if each.is_enter:
                self.enters[each.audience] += 1
                self.members[each.audience].add(each.user_id)
            else:
                self.exits[each.audience] += 1
                self.members[each.audience].remove(each.user_id)
        self.pipeline.acked(step)
        self.pipeline.profiles.durable(step.staged)


@pytest.fixture(scope="module")
def purchases() -> list[Purchase]:
    return load_purchases(customers=400)


def test_members_at_several_dates(purchases: list[Purchase]) -> None:
    run = WholeLog(purchases)
    for day in (date(1997, 2, 15), date(1997, 5, 1), date(1997, 12, 24), date(1998, 3, 1), date(1998, 7, 1)):
        now_ms = start_of(day)
        run.until(now_ms)
        for name, members in run.members.items():
            assert members == members_at(purchases, name, now_ms - 1), (name, day)


def test_enters_and_exits_of_the_whole_log(purchases: list[Purchase]) -> None:
    run, end_ms = WholeLog(purchases), end_of_log(None)
    run.until(end_ms)
    expected = figures(purchases, end_ms)
    assert (run.enters, run.exits) == (expected.enters, expected.exits)
    assert run.members == expected.members


def test_every_audience_is_entered_and_counted_here(purchases: list[Purchase]) -> None:
    assert {each.id for each in load_audiences()} == set(AUDIENCES)
    assert set(figures(purchases, end_of_log(None)).enters) == set(AUDIENCES)

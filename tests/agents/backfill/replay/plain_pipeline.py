"""A live pipeline without Kafka: what it writes counts as written at once."""

from __future__ import annotations

from collections.abc import Sequence

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Record, Step
from agents.kafka.placement import Place
from rules.compile.rule_set import RuleSet
from tables.profiles import Profiles
from tables.store import MemoryStore


class PlainPipeline(Pipeline):
    def __init__(self, rules: RuleSet) -> None:
        super().__init__(Place(0, 1), Profiles(MemoryStore(), 1 << 20), Limits())
        self._use(rules)

    def take(self, records: Sequence[Record]) -> None:
        self._keep(self.apply(records))
        while self.overdue:
            self._keep(self.punctuate(self.stream_time_ms, 500))

    def _keep(self, step: Step) -> None:
        self.durable([step])

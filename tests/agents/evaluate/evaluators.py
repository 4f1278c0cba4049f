"""Evaluators without Faust: a committer that writes to topics in memory, stores that note their writes."""

from __future__ import annotations

from types import SimpleNamespace

from agents.evaluate.commits import Committer
from agents.evaluate.evaluator import Evaluator
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from agents.topics.written import WrittenTopics
from tables.profiles import Profiles
from tables.store import MemoryStore, Write
from tests.driver.kafka import MemoryKafka
from tests.stage.compare import rules_of
from tests.stage.log import START_MS

TASKS = 3
RULES = "audiences: [{id: seen, name: Seen, rule: {event: view}}]"


class NotingStore(MemoryStore):
    """Each write adds its number of rows to ``writes``, and "store" to ``done``."""

    def __init__(self, done: list[str] | None = None) -> None:
        super().__init__()
        self.writes: list[int] = []
        self.done: list[str] = [] if done is None else done

    def write(self, change: Write) -> None:
        self.writes.append(len(change.rows))
        self.done.append("store")
        super().write(change)


class Clock:
    def wall_ms(self) -> int:
        return START_MS

    def caught_up_ms(self, partition: int) -> int | None:
        return None


def crash(error: BaseException) -> None:
    raise error


def evaluator_of_stores() -> tuple[Evaluator, list[NotingStore]]:
    stores = [NotingStore() for _ in range(TASKS)]
    listener = SimpleNamespace(step_done=lambda *_: None)
    topics = WrittenTopics("changelog", "transitions", "rekeyed", TASKS, TASKS)
    committer = Committer(MemoryKafka().producer, topics, listener)  # type: ignore[arg-type]
    evaluator = Evaluator(committer, Clock(), 0, crash)
    evaluator.define(rules_of(RULES))
    evaluator.adopt(
        {
            each: Pipeline(Place(each, TASKS, "rekeyed"), Profiles(store, 10**6, 10**5), Limits())
            for each, store in enumerate(stores)
        }
    )
    evaluator.paused = False
    return evaluator, stores

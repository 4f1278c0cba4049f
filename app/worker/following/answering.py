"""What followed partitions answer, in the shape that a worker's lookups have: the same code answers both.

A reader's partitions are followed, and so are a worker's standbys. "Reader" stands for either here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Counter

from agents.backfill.progress.progress import ProgressOfVersions, VersionState
from agents.backfill.upkeep.pending_view import PendingView
from agents.evaluate.evaluator import Answer
from agents.follow.replicas import Replicas, TooFarBehind
from agents.follow.view import RowElsewhere
from app.http.problems import HttpProblem
from app.lookup.model import LookupRequest, Told, UserAnswer
from app.worker.askable import Asked
from app.worker.following.reached import Reached
from app.worker.held import HeldByWorker
from rules.compile.rule_set import EMPTY, RuleSet
from tables.store_faults import StoreClosed


class Counted(Protocol):
    """What is counted of lookups in followed partitions."""

    @property
    def refused(self) -> Counter:
        """Answers that would have been too old."""
        ...

    @property
    def asked_owner(self) -> Counter:
        """Questions that only the owner can answer."""
        ...


class ReaderBehind(HttpProblem):
    """The answer would be older than is allowed."""

    def __init__(self, behind: TooFarBehind) -> None:
        super().__init__(503, "Not available now", f"{behind}, and serve.max_behind_ms allows less")


class ReaderAnswers:
    """See ``app.worker.askable.Answers``."""

    def __init__(self, metrics: Counted) -> None:
        self._metrics = metrics
        self.rules: RuleSet = EMPTY
        self.replicas: Replicas | None = None
        """None: nothing is followed yet."""

    @property
    def tasks(self) -> list[int]:
        known = {} if self.replicas is None else self.replicas.known
        return [each for each, replica in known.items() if replica.stands]

    def answer_of(self, partition: int) -> Answer | None:
        """For pages and sizes. Raises ReaderBehind.

        None also while the partition is grafted, because some of its rows are only the owner's to tell.
        """
        answer = self.by_row(partition)
        return None if answer is None or answer.pipeline.grafting is not None else answer

    def by_row(self, partition: int) -> Answer | None:
        """For single rows: reading one may raise RowElsewhere. Raises ReaderBehind."""
        try:
            return self._standing(partition)
        except TooFarBehind as behind:
            self._metrics.refused.inc()
            raise ReaderBehind(behind) from None

    def at_once(self, partition: int) -> Answer | None:
        """The same; what is too old is nobody's answer here, and not counted."""
        try:
            return self._standing(partition)
        except TooFarBehind:
            return None

    def _standing(self, partition: int) -> Answer | None:
        """Raises TooFarBehind."""
        standing = None if self.replicas is None else self.replicas.standing(partition)
        return None if standing is None else Answer(standing.view, standing.as_of_ms, standing.behind_ms)


class ReaderVersions:
    """See ``app.worker.askable.Versions``. A reader computes none, and knows what workers tell of them."""

    def __init__(self, progress: ProgressOfVersions) -> None:
        self._progress = progress
        self.partitions = 0
        self.wanted: dict[str, int] = {}
        """The latest version of each audience, by ``project/id``."""
        self.replicas: Replicas | None = None

    @property
    def upkeep(self) -> ReaderVersions:
        return self

    def state(self, project: str, audience: str, version: int) -> VersionState:
        return self._progress.state(project, audience, version, self.partitions)

    def pending_view(self, partition: int, audience: str, user_id: str) -> PendingView | None:
        """Raises RowElsewhere where a version is pending: the owner has its shadow."""
        replica = None if self.replicas is None else self.replicas.known.get(partition)
        active = {} if replica is None or replica.cut is None else replica.cut.active
        if active.get(audience) != self.wanted.get(audience):
            raise RowElsewhere(partition, f"a version of {audience} is pending, and the owner computes it")
        return None


class HeldByReader(HeldByWorker):
    """The users that a reader holds. It waits for positions, and refuses what is too old."""

    def __init__(self, reader: Asked, answers: ReaderAnswers, reached: Reached, metrics: Counted) -> None:
        super().__init__(reader)
        self._answers = answers
        self._reached = reached
        self._metrics = metrics

    async def look(
        self, partition: int, user_ids: Sequence[str], asked: LookupRequest
    ) -> Sequence[Told | None] | None:
        try:
            if asked.min_position is not None:
                async with asyncio.timeout(asked.deadline_ms / 1000):
                    if not await self._reached.wait(partition, asked.min_position):
                        return None
            answer = self._answers.by_row(partition)
            if answer is None:
                return None
            try:
                return await self.told(answer, user_ids, asked)
            except RowElsewhere:
                return [await self._of_one(answer, each, asked) for each in user_ids]
        except StoreClosed:
            return None
        except (ReaderBehind, TimeoutError):
            return [UserAnswer("unavailable", each) for each in user_ids]

    async def _of_one(self, answer: Answer, user_id: str, asked: LookupRequest) -> Told | None:
        """None: only the owner can tell."""
        try:
            told = await self.told(answer, [user_id], asked)
        except RowElsewhere:
            self._metrics.asked_owner.inc()
            return None
        return None if told is None else told[0]

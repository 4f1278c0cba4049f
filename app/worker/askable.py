"""What lookups need of a process: of a worker, of a reader, or of the standbys that a worker keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agents.backfill.progress.progress import VersionState
from agents.backfill.upkeep.pending_view import PendingView
from agents.evaluate.evaluator import Answer
from agents.registry.audiences_feed import AudiencesFeed
from rules.compile.rule_set import RuleSet


class Answers(Protocol):
    """The partitions that a process can be asked about, each with the instant that its answer is right at."""

    @property
    def rules(self) -> RuleSet:
        """Of the latest versions."""

    @property
    def tasks(self) -> Iterable[int]:
        """The partitions that are held."""

    def by_row(self, partition: int) -> Answer | None:
        """For single rows."""

    def at_once(self, partition: int) -> Answer | None:
        """For single rows, by who asks nobody else: None is no refusal."""

    def answer_of(self, partition: int) -> Answer | None:
        """For pages and sizes."""


class Versions(Protocol):
    """How far versions of audiences are."""

    def state(self, project: str, audience: str, version: int) -> VersionState: ...

    def pending_view(self, partition: int, audience: str, user_id: str) -> PendingView | None: ...


class HasVersions(Protocol):
    @property
    def upkeep(self) -> Versions: ...


class Asked(Protocol):
    """What lookups need of a process: of a worker, or of a reader."""

    @property
    def evaluator(self) -> Answers: ...

    @property
    def past(self) -> HasVersions: ...

    @property
    def feed(self) -> AudiencesFeed: ...

    @property
    def partitions(self) -> int:
        """Of the table; 0: not known yet."""

    def owner_of(self, user_id: str) -> tuple[int, str | None]: ...

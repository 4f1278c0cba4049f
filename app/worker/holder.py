"""What the HTTP side needs of a worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agents.backfill.progress.progress import ProgressOfVersions, VersionState
from agents.backfill.upkeep.pending_view import PendingView
from agents.evaluate.evaluator import Answer, Evaluator
from agents.evaluate.native.engine import Engine
from agents.identities.follower import IdentityFollower
from agents.kafka.broker import Broker
from agents.notices.addresses import NotifyAddresses
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.erasures import Erasures
from agents.registry.feed import Feed
from agents.topics.plan import TopicPlan
from agents.warnings import Warnings
from app.http.api_keys import KeyRing
from app.settings.tree import Settings
from app.worker.metrics import WorkerMetrics
from app.worker.past import Past
from app.worker.standbys import Standbys
from rules.compile.rule_set import RuleSet


class Answers(Protocol):
    """The partitions that a process can be asked about, each with the instant that its answer is right at."""

    @property
    def rules(self) -> RuleSet:
        """Of the latest versions."""

    @property
    def tasks(self) -> Iterable[int]:
        """The partitions that are held."""

    def answer(self, user_id: str, partitions: int) -> Answer | None: ...

    def answer_of(self, partition: int) -> Answer | None: ...


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


class Holder(Protocol):
    """The rows that a worker holds, and who holds the others."""

    settings: Settings
    warnings: Warnings
    keys: KeyRing
    metrics: WorkerMetrics
    evaluator: Evaluator
    engine: Engine
    feed: AudiencesFeed
    progress: Feed[ProgressOfVersions]
    notify: Feed[NotifyAddresses]
    erasures: Feed[Erasures]
    broker: Broker
    plan: TopicPlan
    past: Past
    standbys: Standbys
    identities: IdentityFollower
    partitions: int

    @property
    def advertised_url(self) -> str: ...

    @property
    def crashed(self) -> BaseException | None: ...

    def not_ready(self) -> list[str]: ...

    def owner_of(self, user_id: str) -> tuple[int, str | None]: ...

    def url_of(self, partition: int) -> str | None: ...

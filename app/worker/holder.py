"""What the HTTP side needs of a worker."""

from __future__ import annotations

from typing import Protocol

from agents.backfill.progress.progress import ProgressOfVersions
from agents.evaluate.evaluator import Evaluator
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

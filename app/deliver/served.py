"""What the HTTP side of a delivery worker needs of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.connections.published import Connections, PublishedConnection
from agents.connections.uses import Naming
from agents.deliver.definitions.published import DestinationsFeed, PublishedDestination
from agents.registry.audit import Action
from agents.registry.feed import Feed
from agents.topics import TopicPlan
from agents.warnings import Warnings
from app.deliver.destination import Running
from app.deliver.notices import Notices
from app.http.api_keys import KeyRing
from app.publish.author import Author
from app.settings.tree import Settings
from rules.compile.audience import PublishedAudience


class Deliveries(Protocol):
    """The destinations that a process delivers to, and how one more is published."""

    settings: Settings
    warnings: Warnings
    keys: KeyRing
    plan: TopicPlan
    feed: DestinationsFeed
    connections: Feed[Connections]

    notices: Notices | None

    @property
    def running(self) -> Mapping[str, Running]: ...

    @property
    def audiences(self) -> Mapping[bytes, PublishedAudience]:
        """Those that are published, deleted ones included."""

    @property
    def crashed(self) -> BaseException | None: ...

    async def publish(self, published: PublishedDestination, action: Action, author: Author) -> None:
        """Tell the audit topic, too. Returns once this process has read it, too."""

    async def publish_connection(
        self, published: PublishedConnection, action: Action, author: Author
    ) -> None:
        """The same of a connection."""

    async def pushes(self) -> Sequence[Naming]:
        """The connections that published pushes name. Raises KafkaError."""

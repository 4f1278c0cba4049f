"""What the HTTP side of a delivery worker needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agents.connections.published import Connections
from agents.deliver.definitions.published import DestinationsFeed
from agents.registry.feed import Feed
from agents.topics import TopicPlan
from app.deliver.destination import Running
from app.deliver.notices import Notices
from app.http.process import Process
from app.publish.topics import DefinitionTopics
from rules.compile.audience import PublishedAudience


class Deliveries(Process, Protocol):
    """The destinations that a process delivers to, and what is published of all kinds."""

    plan: TopicPlan
    feed: DestinationsFeed
    connections: Feed[Connections]
    definitions: DefinitionTopics
    notices: Notices | None

    @property
    def running(self) -> Mapping[str, Running]: ...

    @property
    def audiences(self) -> Mapping[bytes, PublishedAudience]:
        """Those that are published, deleted ones included."""

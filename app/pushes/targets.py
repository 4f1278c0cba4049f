"""The targets of pushes, as the settings and the published connections make them."""

from __future__ import annotations

from collections.abc import Callable

from agents.connections.published import PublishedConnections
from agents.deliver.contract.sink import SinkContext
from agents.pushes.targets.made import ConnectedTargets, push_problems
from app.deliver.clients import context_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings

__all__ = ["connected_targets", "push_problems"]


def connected_targets(settings: Settings, published: Callable[[], PublishedConnections]) -> ConnectedTargets:
    """``published``: the connections as they are now."""

    def context(project: str) -> SinkContext:
        return context_of(settings, secrets_of(settings, project=project))

    return ConnectedTargets(published, context, transactional_prefix=f"{settings.topics.prefix}.push.")

"""The targets of pushes, as the settings and the published connections make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents.connections.published import PublishedConnections
from agents.deliver.contract.sink import SinkContext
from agents.pushes.targets.made import Callbacks, ConnectedTargets
from app.deliver.clients import context_of
from app.publish.permitted import secrets_of
from app.settings.pushes import PushesSettings, origins_of
from app.settings.tree import Settings

CONFIRMATIONS: Final = "/v1/push-confirmations"
"""The path, before the ids of run and list."""


def connected_targets(settings: Settings, published: Callable[[], PublishedConnections]) -> ConnectedTargets:
    """``published``: the connections as they are now."""

    def context(project: str) -> SinkContext:
        return context_of(settings, secrets_of(settings, project=project))

    return ConnectedTargets(
        published,
        context,
        lambda project: origins_of(settings.pushes),
        callbacks=callbacks_of(settings.pushes),
        transactional_prefix=f"{settings.topics.prefix}.push.",
    )


def callbacks_of(settings: PushesSettings) -> Callbacks | None:
    """None: modules are told of no way to confirm a list."""
    if settings.public_url is None or settings.confirmation_secret is None:
        return None
    return Callbacks(settings.public_url + CONFIRMATIONS, settings.confirmation_secret.get_secret_value())

"""All paths of the audience engine, for one process."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from agents.backfill.progress.progress import ProgressOfVersions
from agents.notices.addresses import NotifyAddresses
from agents.registry.audiences_feed import AudiencesFeed
from agents.registry.feed import Feed
from app.http.problems import ProblemForm
from app.http.routes import Route
from app.sensors.envelope import ROOT, as_envelope
from app.sensors.exists import Answer, ExistsRoutes
from app.sensors.notify import NotifyRoutes
from app.sensors.rules import RuleRoutes
from app.settings.tree import Settings

FORMS: Final[Mapping[str, ProblemForm]] = MappingProxyType({ROOT: as_envelope})
"""How problems are answered below ``ROOT``."""


class Process(Protocol):
    """A process that serves these paths: what it follows."""

    settings: Settings
    feed: AudiencesFeed
    progress: Feed[ProgressOfVersions]
    notify: Feed[NotifyAddresses]

    @property
    def partitions(self) -> int: ...


def sensors_routes(process: Process, look: Answer) -> list[Route]:
    """``look`` answers lookups of the process."""
    return [
        *RuleRoutes(process).routes(),
        *ExistsRoutes(process, look).routes(),
        *NotifyRoutes(process).routes(),
    ]

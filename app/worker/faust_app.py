"""A worker's Faust app, as the settings say."""

from __future__ import annotations

from collections.abc import Callable

from agents.faust.app import WorkerApp, standby_urls, standbys_of, worker_app
from agents.faust.hooks import Hooks
from agents.kafka.broker import Broker
from agents.topics.plan import TopicPlan
from agents.warnings import Warnings
from app.settings.tree import Settings


def app_of(
    settings: Settings,
    broker: Broker,
    plan: TopicPlan,
    partitions: int,
    advertised_url: str,
    hooks: Hooks,
    warnings: Warnings,
) -> WorkerApp:
    """``partitions`` of the table."""
    return worker_app(
        app_id=settings.worker.app_id,
        broker=broker,
        instance_id=settings.worker.id,
        data_dir=str(settings.worker.data_dir),
        advertised_url=advertised_url,
        sources=plan.sources,
        table="profiles",
        partitions=partitions,
        poll_records=settings.worker.poll_records,
        hooks=hooks,
        warnings=warnings,
        standbys=settings.worker.standbys,
    )


class SharedOut:
    """How the group's leader shared out standbys last (``app.worker.standbys.Shares``)."""

    def __init__(self, app: Callable[[], WorkerApp]) -> None:
        self._app = app

    def wanted(self) -> set[int]:
        return standbys_of(self._app())

    def by_url(self) -> dict[str, set[int]]:
        return standby_urls(self._app())

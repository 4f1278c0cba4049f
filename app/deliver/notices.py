"""Notices in a delivery worker: what they are made of is followed, and one process of all sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from agents.backfill.progress.progress import ProgressOfVersions, progress_feed
from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome
from agents.deliver.definitions.destination import Destination, RetryPolicy, Webhook
from agents.kafka.clients import committed_consumer
from agents.notices.addresses import NotifyAddress, notify_feed
from agents.notices.claim import Claim
from agents.notices.notes import Notes
from agents.notices.notice import NoticeKey
from agents.notices.teller import Teller, Told, Write
from agents.registry.audiences import Audiences
from agents.registry.feed import Feed
from agents.sinks.webhook.sink import WebhookSink
from agents.topics.plan import TopicPlan
from agents.warnings import Warnings
from app.deliver.clients import context_of
from app.kafka.configured import broker_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings

TIMEOUT_MS = 15_000


class Notices:
    """Of one process. ``audiences`` is followed already."""

    def __init__(
        self,
        settings: Settings,
        plan: TopicPlan,
        partitions: int,
        audiences: Feed[Audiences],
        warnings: Warnings,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._audiences = audiences
        self._warnings = warnings
        self.told = Told()
        broker, kafka = broker_of(settings), settings.kafka
        new = partial(committed_consumer, broker)
        self._progress = progress_feed(new, plan.progress, warnings)
        self._notify = notify_feed(new, plan.notify, warnings)
        self._claim = Claim(
            broker,
            plan.notices,
            plan.notices,
            self._tell,
            warnings,
            fences=kafka.idempotence,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
        )

    @property
    def audiences(self) -> Audiences:
        return self._audiences.registry

    @property
    def progress(self) -> ProgressOfVersions:
        return self._progress.registry

    @property
    def addresses(self) -> Mapping[str, NotifyAddress]:
        return self._notify.registry.published

    async def run(self) -> None:
        """Follow, and take part in telling, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._progress.run())
            tasks.create_task(self._notify.run())
            for feed in (self._audiences, self._progress, self._notify):
                await feed.loaded.wait()
            tasks.create_task(self._claim.run())

    async def _tell(self, notes: Notes, write: Write) -> None:
        posts = _Posts(self._settings)
        stalled_ms = self._settings.deliver.notices_stalled_seconds * 1000
        teller = Teller(
            self,
            notes,
            write,
            posts,
            self._partitions,
            stalled_ms,
            RetryPolicy(),
            self.told,
            self._warnings,
        )
        try:
            await teller.run()
        finally:
            await posts.close()


class _Posts:
    """Sends requests: a webhook for each project, which may reach what those of destinations may."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sinks: dict[str, tuple[NotifyAddress, WebhookSink]] = {}

    async def __call__(self, project: str, address: NotifyAddress, notice: NoticeKey, body: bytes) -> Outcome:
        before = self._sinks.get(project)
        if before is None or before[0] != address:
            if before is not None:
                await before[1].close()
            self._sinks[project] = before = address, self._sink(project, address)
            await before[1].open()
        delivery = Delivery(notice.id, notice.audience, notice.audience, (), body, 0, -1)
        (outcome,) = await before[1].send(0, [delivery])
        return outcome

    def _sink(self, project: str, address: NotifyAddress) -> WebhookSink:
        headers = {each.key: each.value for each in address.headers}
        webhook = Webhook(address.url, headers=headers, concurrency=1, timeout_ms=TIMEOUT_MS)
        secrets = secrets_of(self._settings, project=project)
        for each in address.headers:
            secrets.hide(each.value)
        return WebhookSink(Destination("notices", webhook, project), context_of(self._settings, secrets))

    async def close(self) -> None:
        for _, sink in self._sinks.values():
            await sink.close()

"""The Faust app of a worker: one agent over the source topics, one table for its changelog.

Faust brings the consumer group, the agent and its back-pressure, and offsets. Replaced by subclass: the
assignor that keeps a user's partitions of all topics on one worker (``agents.faust.assignor``), moving
records in batches (``agents.faust.transport``), and recovery, which reads changelogs in batches
(``agents.restore.restorer``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import faust
from faust.tables.manager import TableManager as StockTableManager
from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.tables.recovery import Recovery as StockRecovery
from faust.types import TP
from mode import Service

from agents.faust.assignor import Assignor
from agents.faust.batch import Poll
from agents.faust.credentials import credentials
from agents.faust.hooks import Hooks
from agents.faust.transport import Consumer, Transport
from agents.kafka.broker import Broker, IsolationLevel
from agents.warnings import Warnings

MAX_FETCH_BYTES = 4 * 1024 * 1024


class Recovery(StockRecovery):
    """After each rebalance: have our partitions restored, then let the streams go on."""

    _rebalance = 0
    """The number of the rebalance whose partitions are to be restored."""

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        self._rebalance = cast(Any, self.app).rebalancing_count
        await super().on_rebalance(*args, **kwargs)

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
                return
            self.signal_recovery_start.clear()
            app, generation = cast(WorkerApp, self.app), self._generation_id
            app.consumer.stop_flow()  # a recovery that this rebalance overtook may have let it go on
            try:
                self._set_recovery_started()
                partitions = cast(Assignor, app.assignor).sources()
                restored = asyncio.ensure_future(
                    app.hooks.restore(partitions, partial(app.is_current, self._rebalance))
                )
                try:
                    await self._wait(asyncio.shield(restored))
                finally:
                    if not restored.done():
                        restored.cancel()
                    await asyncio.wait([restored])
                restored.result()
                await self._wait(self.on_recovery_completed(generation))
            except RebalanceAgain:
                continue
            except ServiceStopped:
                return
            except BaseException as error:
                # Otherwise a recovery that somebody cancelled by mistake leaves the worker waiting for ever.
                if self.should_stop or self.app.hooks.refused(error):  # type: ignore[attr-defined]
                    return
                await self.app.crash(error)
                return

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Nothing: changelogs are read by ``agents.restore.restorer``, not through Faust's queues."""


class TableManager(StockTableManager):
    """Stock manager with our recovery."""

    async def on_start(self) -> None:
        """Without the second in which Faust waits for tables that are added late: ours is there already."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> StockRecovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class WorkerApp(faust.App):
    """The Faust app, with our transport and our recovery."""

    def __init__(
        self,
        app_id: str,
        hooks: Hooks,
        *,
        isolation_level: IsolationLevel,
        table_partitions: int,
        warnings: Warnings,
        standbys: int = 0,
        **options: Any,
    ) -> None:
        self.hooks = hooks
        self.isolation_level = isolation_level
        self.table_partitions = table_partitions
        """The table's number of partitions; source topics may have any."""
        self.warnings = warnings
        self.standbys = standbys
        """How many workers besides the owner keep a copy of each partition's rows."""
        super().__init__(app_id, **options)

    def is_current(self, rebalance: int) -> bool:
        """Whether no other rebalance began since this one, by number."""
        return bool(self.rebalancing_count == rebalance)

    def _create_directories(self) -> None:
        """None: Faust's own stores are not used, and a file in their place must not stop the worker."""

    def on_rebalance_start(self) -> None:
        self.hooks.rebalancing_began()
        super().on_rebalance_start()

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def faust_options(broker: Broker, instance_id: str | None, data_dir: str) -> dict[str, Any]:
    """Settings that every app of ours has: how Kafka is reached, and what of Faust is not used."""
    return {
        "broker": [f"kafka://{each}" for each in broker.bootstrap.split(",")],
        "broker_credentials": credentials(broker.security),
        "broker_session_timeout": broker.session_timeout_ms / 1000,
        "broker_rebalance_timeout": broker.rebalance_timeout_ms / 1000,
        "broker_heartbeat_interval": broker.heartbeat_interval_ms / 1000,
        "broker_request_timeout": max(90.0, broker.session_timeout_ms / 1000 + 30),
        "consumer_max_fetch_size": MAX_FETCH_BYTES,
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": broker.metadata_max_age_ms,
        "consumer_group_instance_id": instance_id,
        "datadir": data_dir,
        "store": "memory://",
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "web_enabled": False,
        "stream_wait_empty": True,
        "stream_recovery_delay": 0,
        "table_standby_replicas": 0,
        "autodiscover": False,
    }


def worker_app(
    *,
    app_id: str,
    broker: Broker,
    instance_id: str | None,
    data_dir: str,
    advertised_url: str,
    sources: Sequence[str],
    table: str,
    partitions: int,
    poll_records: int,
    hooks: Hooks,
    warnings: Warnings,
    standbys: int = 0,
) -> WorkerApp:
    """Build the app. ``partitions`` is the table's number of them."""
    app = WorkerApp(
        app_id,
        hooks,
        isolation_level=broker.isolation_level,
        table_partitions=partitions,
        warnings=warnings,
        standbys=standbys,
        **faust_options(broker, instance_id, data_dir),
        broker_max_poll_records=poll_records,
        broker_commit_interval=1.0,
        canonical_url=advertised_url,
        TableManager=TableManager,
        PartitionAssignor=Assignor,
    )
    app.Table(table, partitions=partitions)
    topic = app.topic(*sources, maxsize=2, value_serializer="raw", key_serializer="raw")

    @app.agent(topic, name="evaluate", concurrency=1)
    async def evaluate(stream: Any) -> None:
        async for event in stream.noack().events():
            consumer, poll = cast(Consumer, app.consumer), cast(Poll, event.message)
            try:
                for batch in consumer.batches_of(poll):
                    await hooks.take(batch, partial(consumer.acknowledge, batch))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                # Faust would acknowledge the batch and go on: a bug would skip data.
                await app.crash(error)
                raise

    return app


def owner_url(app: WorkerApp, changelog: str, partition: int) -> str | None:
    """The advertised URL of the worker that owns a partition, as the group's leader last said."""
    assignor: Any = app.assignor
    url: str | None = assignor._tps_url.get(TP(changelog, partition))
    return url


def standbys_of(app: WorkerApp) -> set[int]:
    """The table's partitions that this worker keeps standbys of."""
    return cast(Assignor, app.assignor).standbys()


def standby_urls(app: WorkerApp) -> dict[str, set[int]]:
    """The table's partitions that each worker keeps standbys of, by its advertised URL."""
    return cast(Assignor, app.assignor).standbys_by_url()

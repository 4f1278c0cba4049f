"""Tests of connections: each really connects, and says what is wrong without telling secrets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set
from dataclasses import replace
from typing import Final

import msgspec

from agents.connections.connection import Connection, ObjectStore, Sftp, WebhookTemplate
from agents.deliver.contract.outcomes import Delivered
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import Destination, EventHub, Filled, KafkaTopic
from agents.deliver.definitions.systems import KafkaCluster
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.secrets.secrets import Secrets
from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.reached import storage_of
from agents.sinks.make import make_sink
from app.deliver.clients import context_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings

TEST_SECONDS: Final = 30.0
NOT_LET_IN: Final = (401, 403, 407)
NOT_FOR_HEAD: Final = (400, 404, 405, 406, 411, 415, 422, 428, 501)
"""What receivers answer to a request without a body that they take otherwise."""


class ConnectionTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``hub``: of an Event Hubs namespace that names none."""

    hub: str | None = None


class ConnectionTestResult(msgspec.Struct, frozen=True):
    """``outcome`` says what was found, or what is wrong."""

    ok: bool
    connection: str
    kind: str
    outcome: str
    seconds: float


class _Wrong(Exception):
    """It was reached, and it can't be used. The text says why."""


async def try_connection(
    settings: Settings,
    connection: Connection,
    wanted: ConnectionTest,
    digests: Callable[[], Set[str]] | None = None,
) -> ConnectionTestResult:
    """Connect once. The result holds no secret. ``digests`` as of ``secrets_of``."""
    secrets = secrets_of(settings, digests, project=connection.project)
    began = time.monotonic()
    is_good, told = False, ""
    try:
        async with asyncio.timeout(TEST_SECONDS):
            told = await _found(settings, connection, wanted, secrets)
        is_good = True
    except TimeoutError:
        told = f"no answer within {TEST_SECONDS:g} s"
    except (SinkMisconfigured, SinkUnavailable, _Wrong) as error:
        told = str(error)
    except Exception as error:  # a bug, or a definition that asks for what no client can do: told, masked
        told = f"crashed: {type(error).__name__}: {error}"
    masked = await asyncio.to_thread(secrets.masked, told)
    seconds = round(time.monotonic() - began, 3)
    return ConnectionTestResult(is_good, connection.name, connection.kind, masked, seconds)


async def _found(settings: Settings, connection: Connection, wanted: ConnectionTest, secrets: Secrets) -> str:
    """What is there. Raises SinkMisconfigured, SinkUnavailable, _Wrong."""
    reached = connection.reached
    context = context_of(settings, secrets, lambda _: None)
    if isinstance(reached, WebhookTemplate):
        return await _webhook(connection, reached, context)
    if isinstance(reached, KafkaCluster):
        return await _kafka(reached.with_topic(KafkaTopic("")), context)
    if isinstance(reached, ObjectStore | Sftp):
        return await _files(reached, context)
    hub = reached.with_hub(EventHub(hub=wanted.hub))
    if hub.namespace is not None and hub.hub is None:
        raise _Wrong("the connection names no hub: say which one is to be asked (hub)")
    return await _event_hub(connection, hub, context)


async def _webhook(connection: Connection, template: WebhookTemplate, context: SinkContext) -> str:
    from agents.sinks.webhook.sink import WebhookSink

    # Parameters have no values here; where the address holds one, its root is asked.
    empty = dict.fromkeys(template.parameters, Filled(None))
    webhook = replace(template.webhook, variables={**template.webhook.variables, **empty})
    sink = WebhookSink(Destination(connection.name, webhook, connection.project), context)
    try:
        await sink.open()
        status, outcome = await sink.probe()
    finally:
        await sink.close()
    if status is None:
        assert not isinstance(outcome, Delivered)
        raise _Wrong(outcome.reason)
    if status in NOT_LET_IN:
        raise _Wrong(f"the receiver answered {status} to HEAD: it doesn't let us in")
    if status in NOT_FOR_HEAD or 200 <= status < 300:
        return f"the receiver answered {status} to HEAD"
    raise _Wrong(f"the receiver answered {status} to HEAD")


async def _kafka(target: KafkaTopic, context: SinkContext) -> str:
    from agents.sinks.kafka.connection import KafkaConnection
    from agents.sinks.kafka.own_topics import RefusedTopics

    opened = KafkaConnection(target, context, RefusedTopics("", None))
    try:
        await opened.open()
        cluster = (await opened.current()).client.cluster
        count = len(cluster.brokers())
        return "one broker answered" if count == 1 else f"{count} brokers answered"
    finally:
        await opened.close()


async def _files(reached: ObjectStore | Sftp, context: SinkContext) -> str:
    storage = storage_of(reached, context)
    try:
        await storage.probe()
        return "a file could be written"
    except (TargetRefused, TargetUnavailable) as error:
        raise _Wrong(str(error)) from None
    finally:
        await storage.close()


async def _event_hub(connection: Connection, hub: EventHub, context: SinkContext) -> str:
    sink = make_sink(Destination(connection.name, hub, connection.project), context)
    try:
        lanes = await sink.open()
        return f"the hub answered: it has {lanes.count} partitions"
    finally:
        await sink.close()

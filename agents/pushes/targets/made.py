"""The target of a push, from the connection that it names and from what its definition says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agents.connections.connection import Kind, ObjectStore, Sftp, WebhookTemplate
from agents.connections.notified import notification_problems
from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, find_connection
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import Json
from agents.deliver.definitions.systems import KafkaCluster
from agents.deliver.errors import SinkMisconfigured
from agents.pushes.contract.push import Push
from agents.pushes.contract.target import QueueName, Target, TargetRefused
from agents.pushes.profiles.profiles import profile_problems, profiles
from agents.pushes.targets.files import FilesTarget
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.kafka_clients import COMPRESSIONS, TRANSACTIONAL_PREFIX
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.reached import kafka_place, receiver_of, storage_of
from rules.parse.problems import name_hint

KINDS: Final[tuple[Kind, ...]] = ("kafka", "object_store", "sftp")
OF_FILES: Final = ("folder", "notify", "profile")
OF_KAFKA: Final = ("topic", "compression")
_FOLDER: Final = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[^\x00-\x1f\x7f\\]*")
"""Without parts that lead out of it."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Where modules confirm lists: behind ``url`` come run and list. ``secret`` makes the tokens."""

    url: str
    secret: str = field(repr=False)


def _nothing(project: str) -> Mapping[str, str]:
    return {}


class ConnectedTargets:
    """The ``Targets`` of a process.

    ``context_of`` gives what sinks of a project are made with. ``origins``: the system that each attribute of
    a project came from. ``callbacks`` None: modules can't confirm.
    """

    def __init__(
        self,
        published: Callable[[], PublishedConnections],
        context_of: Callable[[str], SinkContext],
        origins: Callable[[str], Mapping[str, str]] = _nothing,
        callbacks: Callbacks | None = None,
        transactional_prefix: str = TRANSACTIONAL_PREFIX,
    ) -> None:
        self._published = published
        self._context_of = context_of
        self._origins = origins
        self._callbacks = callbacks
        self._transactional_prefix = transactional_prefix

    def queue_of(self, push: Push) -> QueueName:
        """``module`` where files are for an internal module. Without a profile it is one that is told of
        them."""
        try:
            kind = find_connection(push.connection, push.project, self._published(), KINDS).kind
        except ConnectionUnusable:
            return "other"
        if kind == "kafka":
            return "kafka"
        if "profile" in push.target:
            profile = profiles().get(str(push.target["profile"]))
            return "module" if profile is not None and profile.is_module else "other"
        return "module" if "notify" in push.target else "other"

    def problems(self, push: Push) -> tuple[str, ...]:
        """Why it couldn't be delivered, all reasons at once."""
        return push_problems(push, self._published(), self._origins(push.project))

    async def of(self, push: Push) -> Target:
        """Raises TargetRefused. It connects when it is first used."""
        problems = self.problems(push)
        if problems:
            raise TargetRefused("; ".join(problems))
        published = self._published()
        connection = find_connection(push.connection, push.project, published, KINDS)
        context = self._context_of(connection.project)
        try:
            if isinstance(connection.reached, KafkaCluster):
                topic, prefix = str(push.target["topic"]), self._transactional_prefix
                compression: Any = push.target.get("compression", "none")
                return KafkaTarget(kafka_place(connection.reached, topic, context, prefix, compression))
            assert isinstance(connection.reached, ObjectStore | Sftp)
            storage = storage_of(connection.reached, context)
            folder = str(push.target.get("folder", ""))
            return FilesTarget(storage, folder, self.queue_of(push), self._notifier(push, published))
        except SinkMisconfigured as error:
            raise TargetRefused(context.secrets.masked(str(error))) from None

    def _notifier(self, push: Push, published: PublishedConnections) -> Notifier | None:
        """Raises SinkMisconfigured, TargetRefused."""
        name = push.target.get("notify")
        if name is None:
            return None
        connection = find_connection(str(name), push.project, published, ("webhook",))
        assert isinstance(connection.reached, WebhookTemplate)
        context, callbacks = self._context_of(connection.project), self._callbacks
        url = None if callbacks is None else callbacks.url
        secret = None if callbacks is None else callbacks.secret
        return Notifier(receiver_of(connection.reached, context, url, secret), context.secrets.masked)


def push_problems(push: Push, published: PublishedConnections, origins: Mapping[str, str]) -> tuple[str, ...]:
    """Why a push can't use its connection, all reasons at once; for when it is published.

    ``origins``: the system that each attribute came from.
    """
    try:
        connection = find_connection(push.connection, push.project, published, KINDS)
    except ConnectionUnusable as error:
        return (str(error),)
    is_kafka, kind = connection.kind == "kafka", push.content.format.kind
    found = list(_wrong_target(push, OF_KAFKA if is_kafka else OF_FILES))
    if is_kafka != (kind == "kafka"):
        fitting = "kafka" if is_kafka else "csv, jsonl"
        found.append(f"content.format is {kind}; a connection of the kind {connection.kind} takes {fitting}")
    profile, notify = push.target.get("profile"), push.target.get("notify")
    if isinstance(profile, str):
        found += profile_problems(push, profile, origins)
    if isinstance(notify, str):
        found += (f"target.notify: {each}" for each in _wrong_notify(push, notify, published))
    return tuple(found)


def _wrong_notify(push: Push, notify: str, published: PublishedConnections) -> Iterator[str]:
    try:
        reached = find_connection(notify, push.project, published, ("webhook",)).reached
    except ConnectionUnusable as error:
        yield str(error)
        return
    assert isinstance(reached, WebhookTemplate)
    yield from notification_problems(reached)


def _wrong_target(push: Push, allowed: tuple[str, ...]) -> Iterator[str]:
    for key, value in push.target.items():
        if key not in allowed:
            yield f"target: unknown '{key}'; {name_hint(key, allowed)}"
        elif not isinstance(value, str) or not value:
            yield f"target.{key} must be a text"
    if allowed is OF_KAFKA and "topic" not in push.target:
        yield "target: a push to Kafka needs 'topic'"
    compression: Json = push.target.get("compression", "none")
    if allowed is OF_KAFKA and isinstance(compression, str) and compression not in COMPRESSIONS:
        yield f"target.compression can't be '{compression}'; {name_hint(compression, COMPRESSIONS)}"
    folder: Json = push.target.get("folder", "")
    if isinstance(folder, str) and _FOLDER.fullmatch(folder) is None:
        yield "target.folder must not hold '.', '..', a backslash or a control character"

"""From a push and the published connections to its target, with secrets as the settings declare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents.connections.connection import Connection, ObjectStore, Sftp, WebhookTemplate
from agents.connections.permitted import endpoints_of, store_endpoint
from agents.connections.published import PublishedConnections
from agents.connections.resolve import ConnectionUnusable, fill_in, find_connection
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import KafkaTopic, Secret, Text
from agents.deliver.definitions.systems import KafkaCluster
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets.secrets import Secrets
from agents.pushes.contract.push import Push
from agents.pushes.contract.target import QueueName, Target, TargetRefused
from agents.pushes.profiles.profiles import profile_problems
from agents.pushes.targets.files import FilesTarget, Storage
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.kafka_clients import KafkaPlace
from agents.pushes.targets.notification import Notifier
from agents.pushes.targets.object_store import ObjectStorage
from agents.pushes.targets.places import ObjectStorePlace, Receiver, SftpPlace
from agents.pushes.targets.sftp import SftpStorage
from agents.sinks.kafka.connection import KafkaConnection
from agents.sinks.kafka.own_topics import RefusedTopics
from app.kafka.configured import broker_of
from app.publish.permitted import own_topics_of, secrets_of
from app.settings.tree import Settings
from rules.parse.problems import name_hint

KINDS: Final = ("kafka", "object_store", "sftp")
OF_KAFKA: Final = ("topic",)
OF_FILES: Final = ("folder", "notify", "profile")


class ConnectedTargets:
    """The ``Targets`` of a process. ``published``: the connections as they are now."""

    def __init__(self, settings: Settings, published: Callable[[], PublishedConnections]) -> None:
        self._settings = settings
        self._published = published

    def queue_of(self, push: Push) -> QueueName:
        try:
            kind = find_connection(push.connection, push.project, self._published(), KINDS).kind
        except ConnectionUnusable:
            return "other"
        if kind == "kafka":
            return "kafka"
        return "module" if {"notify", "profile"} & push.target.keys() else "other"

    async def of(self, push: Push) -> Target:
        problems = push_problems(push, self._published())
        if problems:
            raise TargetRefused("; ".join(problems))
        connection = find_connection(push.connection, push.project, self._published(), KINDS)
        secrets = secrets_of(self._settings, project=connection.project)
        try:
            if isinstance(connection.reached, KafkaCluster):
                return self._kafka(push, connection.reached, secrets)
            storage = self._storage(connection, secrets)
            folder = text_of(push, "folder") or f"{push.project}/{push.name}"
            return FilesTarget(storage, folder, self.queue_of(push), self._notifier(push))
        except SinkMisconfigured as wrong:
            raise TargetRefused(secrets.masked(str(wrong))) from None

    def _kafka(self, push: Push, cluster: KafkaCluster, secrets: Secrets) -> KafkaTarget:
        topic, own, broker = text_of(push, "topic"), own_topics_of(self._settings), broker_of(self._settings)
        context = SinkContext(secrets, broker, self._settings.deliver.allow_private, own)
        reached = cluster.with_topic(KafkaTopic(topic))
        connection = KafkaConnection(reached, context, RefusedTopics(topic, None))
        return KafkaTarget(
            KafkaPlace(
                connection.broker(),
                topic,
                guard=connection.guard,
                own=None if cluster.bootstrap is None else broker,
                why_not=own.why_not,
                transactional_prefix=f"{self._settings.topics.prefix}.push.",
                mask=secrets.masked,
            )
        )

    def _storage(self, connection: Connection, secrets: Secrets) -> Storage:
        reached, to = connection.reached, endpoints_of(connection)

        def text(given: Text | None) -> str | None:
            return None if given is None else secrets.text(given, to)

        allow_private = self._settings.deliver.allow_private
        if isinstance(reached, Sftp):
            place = SftpPlace(
                reached.host,
                reached.user,
                reached.port,
                text(reached.password),
                text(reached.private_key),
                text(reached.passphrase),
                reached.host_keys,
                reached.fingerprints,
                reached.folder,
                allow_private,
            )
            return SftpStorage(place, secrets.masked)
        assert isinstance(reached, ObjectStore)
        to = [store_endpoint(reached)]
        store = ObjectStorePlace(
            reached.scheme,  # type: ignore[arg-type]
            reached.bucket,
            reached.folder,
            reached.endpoint,
            reached.region,
            text(reached.key_id),
            text(reached.key),
            text(reached.session_token),
            reached.path_style,
            allow_private,
        )
        return ObjectStorage(store, secrets.masked)

    def _notifier(self, push: Push) -> Notifier | None:
        name = text_of(push, "notify")
        if not name:
            return None
        connection = find_connection(name, push.project, self._published(), ("webhook",))
        assert isinstance(connection.reached, WebhookTemplate)
        webhook = fill_in(connection.reached, {}, {})
        secrets, to = secrets_of(self._settings, project=connection.project), endpoints_of(connection)
        signing = webhook.signing_secret
        receiver = Receiver(
            secrets.text(webhook.url, to),
            {key: secrets.text(value, to) for key, value in webhook.headers.items()},
            secrets.get(signing, to) if isinstance(signing, Secret) else None,
            allow_private=self._settings.deliver.allow_private,
            timeout_s=webhook.timeout_ms / 1000,
        )
        return Notifier(receiver, secrets.masked)


def text_of(push: Push, key: str) -> str:
    """A text of the push's target; empty: it isn't there."""
    value = push.target.get(key, "")
    return value if isinstance(value, str) else ""


def push_problems(push: Push, published: PublishedConnections) -> list[str]:
    """Why a push can't use its connection, all reasons at once."""
    try:
        connection = find_connection(push.connection, push.project, published, KINDS)
    except ConnectionUnusable as unusable:
        return [each.message for each in unusable.problems]
    is_kafka = connection.kind == "kafka"
    allowed = OF_KAFKA if is_kafka else OF_FILES
    problems = [
        f"target has no key '{key}' for a connection of the kind {connection.kind}; {name_hint(key, allowed)}"
        for key in push.target
        if key not in allowed
    ]
    problems += [
        f"target.{key} must be text" for key in push.target if key in allowed and not text_of(push, key)
    ]
    kind = push.content.format.kind
    if is_kafka and not push.target.get("topic"):
        problems.append("a push to Kafka needs target.topic")
    if is_kafka != (kind == "kafka"):
        fitting = "kafka" if is_kafka else "csv, jsonl"
        problems.append(
            f"content.format is {kind}; a connection of the kind {connection.kind} takes {fitting}"
        )
    if profile := text_of(push, "profile"):
        problems += profile_problems(push, profile)
    if notify := text_of(push, "notify"):
        try:
            find_connection(notify, push.project, published, ("webhook",))
        except ConnectionUnusable as unusable:
            problems += [each.message for each in unusable.problems]
    return problems

"""From connections to what targets are made with: secrets looked up, each for the hosts that may have it.

All functions raise SinkMisconfigured.
"""

from __future__ import annotations

from agents.connections.connection import ObjectStore, Sftp, WebhookTemplate
from agents.connections.notified import notification_problems
from agents.connections.permitted import store_endpoint
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import KafkaTopic
from agents.deliver.definitions.hosts import Endpoint, canonical_host
from agents.deliver.definitions.systems import KafkaCluster
from agents.deliver.definitions.urls import UrlTemplate, UrlWrong
from agents.deliver.errors import SinkMisconfigured
from agents.pushes.targets.files import Storage
from agents.pushes.targets.kafka_clients import Compression, KafkaPlace
from agents.pushes.targets.places import ObjectStorePlace, Receiver, SftpPlace
from agents.sinks.kafka.connection import KafkaConnection
from agents.sinks.kafka.own_topics import RefusedTopics


def storage_of(reached: ObjectStore | Sftp, context: SinkContext) -> Storage:
    """Where files are written. It connects when it is first used."""
    if isinstance(reached, ObjectStore):
        from agents.pushes.targets.object_store import ObjectStorage

        return ObjectStorage(object_store_place(reached, context), context.secrets.masked)
    from agents.pushes.targets.sftp import SftpStorage

    return SftpStorage(sftp_place(reached, context), context.secrets.masked)


def object_store_place(reached: ObjectStore, context: SinkContext) -> ObjectStorePlace:
    secrets, to = context.secrets, [store_endpoint(reached)]
    if reached.scheme not in ("s3", "gs", "az"):
        raise SinkMisconfigured(f"an object store is at s3://, gs:// or az://, not {reached.scheme}://")
    return ObjectStorePlace(
        scheme=reached.scheme,  # type: ignore[arg-type]
        bucket=reached.bucket,
        folder=reached.folder,
        endpoint=reached.endpoint,
        region=reached.region,
        key_id=None if reached.key_id is None else secrets.text(reached.key_id, to),
        key=None if reached.key is None else secrets.get(reached.key, to),
        session_token=None if reached.session_token is None else secrets.get(reached.session_token, to),
        path_style=reached.path_style,
        allow_private=context.allow_private,
    )


def sftp_place(reached: Sftp, context: SinkContext) -> SftpPlace:
    secrets, to = context.secrets, [Endpoint(canonical_host(reached.host), reached.port)]
    return SftpPlace(
        host=reached.host,
        user=reached.user,
        port=reached.port,
        password=None if reached.password is None else secrets.get(reached.password, to),
        private_key=None if reached.private_key is None else secrets.get(reached.private_key, to),
        passphrase=None if reached.passphrase is None else secrets.get(reached.passphrase, to),
        host_keys=reached.host_keys,
        fingerprints=reached.fingerprints,
        folder=reached.folder,
        allow_private=context.allow_private,
    )


def receiver_of(
    reached: WebhookTemplate, context: SinkContext, callback_url: str | None, callback_secret: str | None
) -> Receiver:
    """Of a webhook without variables: a notification has its own body."""
    webhook, secrets = reached.webhook, context.secrets
    if isinstance(webhook.url, str):
        url = webhook.url
    else:
        url = secrets.get_for(webhook.url, lambda text: [_url(text).endpoint])
    to = [_url(url).endpoint]

    problems = list(notification_problems(reached))
    if not problems and _url(url).names:
        problems = ["a notification fills in no variables, and the url of its webhook has some"]
    if problems:
        raise SinkMisconfigured("; ".join(problems))
    return Receiver(
        url=url,
        headers={name: secrets.text(text, to) for name, text in webhook.headers.items()},
        signing_secret=None if webhook.signing_secret is None else secrets.get(webhook.signing_secret, to),
        callback_url=callback_url,
        callback_secret=callback_secret,
        allow_private=context.allow_private,
        timeout_s=webhook.timeout_ms / 1000,
    )


def _url(text: str) -> UrlTemplate:
    try:
        return UrlTemplate.parse(text)
    except UrlWrong as error:
        raise SinkMisconfigured(f"the address of the notification: {error}") from None


def kafka_place(
    reached: KafkaCluster, topic: str, context: SinkContext, prefix: str, compression: Compression = "none"
) -> KafkaPlace:
    """``prefix`` begins the transactional ids."""
    connection = KafkaConnection(reached.with_topic(KafkaTopic(topic)), context, RefusedTopics(topic, None))
    own = context.own_topics
    return KafkaPlace(
        broker=connection.broker(),
        topic=topic,
        guard=connection.guard,
        own=context.broker,
        why_not=(lambda _: None) if own is None else own.why_not,
        transactional_prefix=prefix,
        compression=compression,
        mask=context.secrets.masked,
    )

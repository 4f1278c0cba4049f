"""What the settings refuse of a connection, told when it is published and not only when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agents.connections.connection import Connection, ObjectStore, Sftp
from agents.deliver.definitions.destination import Secret
from agents.deliver.definitions.hosts import Endpoint, canonical_host, endpoint_of
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster
from agents.deliver.definitions.urls import UrlTemplate
from agents.deliver.permissions.permitted import endpoints_of_webhook, secret_refusals, secrets_of_webhook
from agents.deliver.secrets.secrets import Secrets

HTTPS: Final = 443


def connection_refusals(connection: Connection, secrets: Secrets) -> list[str]:
    """Why it couldn't be used: secrets that aren't declared, or that may not go there."""
    return list(secret_refusals(secrets_in_connection(connection), endpoints_of(connection), secrets))


def secrets_in_connection(connection: Connection) -> list[Secret]:
    """The secrets that a definition names, each once."""
    reached = connection.reached
    texts: Sequence[object]
    if isinstance(reached, KafkaCluster):
        texts = [reached.sasl_username, reached.sasl_password]
    elif isinstance(reached, EventHubNamespace):
        texts = [reached.connection_string]
    elif isinstance(reached, ObjectStore):
        texts = [reached.key_id, reached.key, reached.session_token]
    elif isinstance(reached, Sftp):
        texts = [reached.password, reached.private_key, reached.passphrase]
    else:
        texts = secrets_of_webhook(reached.webhook)
    return list(dict.fromkeys(each for each in texts if isinstance(each, Secret)))


def endpoints_of(connection: Connection) -> Sequence[Endpoint]:
    """Where its secrets are sent to, as far as the definition says it."""
    reached = connection.reached
    if isinstance(reached, KafkaCluster):
        return (
            [] if reached.bootstrap is None else [endpoint_of(each) for each in reached.bootstrap.split(",")]
        )
    if isinstance(reached, EventHubNamespace):
        return []
    if isinstance(reached, ObjectStore):
        return [store_endpoint(reached)]
    if isinstance(reached, Sftp):
        return [Endpoint(canonical_host(reached.host), reached.port)]
    return endpoints_of_webhook(reached.webhook)


def store_endpoint(store: ObjectStore) -> Endpoint:
    """Where an object store is: its ``endpoint``, otherwise the cloud's own."""
    if store.endpoint is not None:
        found = UrlTemplate.parse(store.endpoint).endpoint
        is_below = store.scheme == "s3" and not store.path_style
        return Endpoint(f"{store.bucket}.{found.host}", found.port) if is_below else found
    if store.scheme == "gs":
        return Endpoint("storage.googleapis.com", HTTPS)
    if store.scheme == "az":
        account = store.key_id if isinstance(store.key_id, str) else "account"
        return Endpoint(f"{account}.blob.core.windows.net", HTTPS)
    region = "us-east-1" if store.region is None else store.region
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return Endpoint(f"s3.{region}.{domain}", HTTPS)

"""The part of a target that says which system it is in: written in a destination, or in a connection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from agents.deliver.definitions.destination import EventHub, KafkaTopic, Secret, Text


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """A cluster; ``bootstrap`` None: the service's own."""

    bootstrap: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: Text | None = None
    sasl_password: Secret | None = None
    ssl_cafile: str | None = None

    def with_topic(self, topic: KafkaTopic) -> KafkaTopic:
        """A topic of this cluster."""
        return replace(
            topic,
            bootstrap=self.bootstrap,
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            sasl_username=self.sasl_username,
            sasl_password=self.sasl_password,
            ssl_cafile=self.ssl_cafile,
        )


@dataclass(frozen=True, slots=True)
class EventHubNamespace:
    """An Azure Event Hubs namespace, by connection string, or by name and Azure identity.

    ``hub`` None: it isn't said here; the connection string may have it.
    """

    connection_string: Secret | None = None
    namespace: str | None = None
    hub: str | None = None

    def with_hub(self, hub: EventHub) -> EventHub:
        """A hub of this namespace."""
        return replace(
            hub,
            connection_string=self.connection_string,
            namespace=self.namespace,
            hub=self.hub if hub.hub is None else hub.hub,
        )

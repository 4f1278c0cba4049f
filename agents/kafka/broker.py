"""Where Kafka is and how to speak to it; no client library is loaded for knowing it."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import Any, Literal

IsolationLevel = Literal["read_committed", "read_uncommitted"]


class _WithoutCredentials(logging.Filter):
    """aiokafka logs whole requests when the level is debug, those that authenticate with their passwords."""

    def filter(self, record: logging.LogRecord) -> bool:
        given = record.args if isinstance(record.args, tuple) else ()
        return not any(type(each).__name__.startswith("SaslAuthenticate") for each in given)


_WITHOUT_CREDENTIALS = _WithoutCredentials()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Kafka is, and how to speak to it."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: str | None = None
    session_timeout_ms: int = 45_000
    rebalance_timeout_ms: int = 60_000
    heartbeat_interval_ms: int = 3_000
    metadata_max_age_ms: int = 30_000
    isolation_level: IsolationLevel = "read_committed"

    def consumer_options(self) -> dict[str, Any]:
        """Keyword arguments of every aiokafka consumer."""
        return {**self.client_options(), "isolation_level": self.isolation_level}

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of every aiokafka client. From then on asking for a topic doesn't make it, and
        every record can be read."""
        from agents.kafka.requests import never_create_by_asking
        from agents.kafka.unreadable_fetches import read_every_record

        never_create_by_asking()
        read_every_record()
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self.ssl_context()
        if self.security_protocol.startswith("SASL"):
            logging.getLogger("aiokafka.conn").addFilter(_WITHOUT_CREDENTIALS)
            options["sasl_mechanism"] = self.sasl_mechanism or "PLAIN"
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options

    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ssl_cafile)

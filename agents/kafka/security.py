"""How connections to Kafka are secured; the one place that knows it. No client library is loaded for that."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class Security:
    """Protocol, account and certificates of every connection to one cluster."""

    protocol: Protocol = "PLAINTEXT"
    sasl_mechanism: Mechanism | None = None
    """None: PLAIN, where the protocol is one of SASL."""
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    """None: the system's authorities vouch for the brokers."""

    @property
    def uses_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def mechanism(self) -> Mechanism:
        return self.sasl_mechanism or "PLAIN"

    def ssl_context(self) -> ssl.SSLContext | None:
        """None: connections have no TLS. Raises OSError, ssl.SSLError for files that can't be used."""
        return ssl.create_default_context(cafile=self.ssl_cafile) if self.uses_tls else None


NO_SECURITY = Security()

"""How connections to Kafka are secured; the one place that knows it. No client library is loaded for that."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from agents.kafka.certificates import FollowingContext

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


@dataclass(frozen=True, slots=True)
class OAuth:
    """Where tokens for OAUTHBEARER come from: client credentials (RFC 6749, section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    cafile: str | None = None
    """None: the system's authorities vouch for the server of tokens."""


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
    ssl_certfile: str | None = None
    """Our own certificate and those between it and its authority. None: we show none."""
    ssl_keyfile: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    oauth: OAuth | None = None
    """For OAUTHBEARER."""

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
        if not self.uses_tls:
            return None
        return FollowingContext.of(
            _path(self.ssl_cafile), _path(self.ssl_certfile), _path(self.ssl_keyfile), self.ssl_key_password
        )


NO_SECURITY = Security()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)

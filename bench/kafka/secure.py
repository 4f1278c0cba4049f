"""Listeners with TLS and accounts, for a node of ``bench.kafka.apache``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_LISTENERS = """
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listeners}
advertised.listeners=BROKER://127.0.0.1:{port}{listeners}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL
sasl.enabled.mechanisms={mechanisms}
listener.name.secure.plain.sasl.jaas.config=\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.secure.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={pem}
"""
_MUTUAL = """
listener.name.mutual.ssl.keystore.type=PEM
listener.name.mutual.ssl.keystore.location={pem}
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={clients}
listener.name.mutual.ssl.client.auth=required
"""
_TOKENS = """
listener.name.secure.oauthbearer.sasl.jaas.config=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.secure.oauthbearer.sasl.server.callback.handler.class=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.secure.sasl.oauthbearer.jwks.endpoint.url={keys}
listener.name.secure.sasl.oauthbearer.expected.audience={audience}
listener.name.secure.oauthbearer.connections.max.reauth.ms={session_ms}
"""


@dataclass(frozen=True, slots=True)
class TokenChecks:
    """OAUTHBEARER: whose signatures are good, and for whom a token must be made."""

    keys: Path
    """A JSON Web Key Set (RFC 7517)."""
    audience: str
    session_ms: int = 0
    """The broker ends a connection after so long, or when its token ends; 0: it doesn't."""


@dataclass(frozen=True, slots=True)
class Secure:
    """A listener with TLS and SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), and more if wanted.

    ``pem``: the node's key and certificate. ``clients``: who vouches for clients, at a further listener that
    asks them for certificates. ``tokens``: OAUTHBEARER, too.
    """

    user: str
    password: str
    pem: Path
    clients: Path | None = None
    tokens: TokenChecks | None = None

    def properties(self, port: int, controller_port: int, secure_port: int, mutual_port: int) -> str:
        """For the node's file of properties."""
        listeners, more = f",SECURE://127.0.0.1:{secure_port}", ""
        mechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
        if self.clients is not None:
            listeners += f",MUTUAL://127.0.0.1:{mutual_port}"
            more += _MUTUAL.format(pem=self.pem, clients=self.clients)
        if self.tokens is not None:
            mechanisms += ",OAUTHBEARER"
            tokens = self.tokens
            more += _TOKENS.format(
                keys=tokens.keys.as_uri(), audience=tokens.audience, session_ms=tokens.session_ms
            )
        return (
            _LISTENERS.format(
                port=port,
                controller_port=controller_port,
                listeners=listeners,
                mechanisms=mechanisms,
                user=self.user,
                password=self.password,
                pem=self.pem,
            )
            + more
        )

    @property
    def scram_accounts(self) -> list[str]:
        """For the storage tool's ``--add-scram``."""
        account = f"name={self.user},password={self.password}"
        return [f"SCRAM-SHA-256=[{account}]", f"SCRAM-SHA-512=[{account}]"]

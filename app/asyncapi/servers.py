"""The brokers as the settings name them: where, and how one gets in. No secrets, no names of accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agents.kafka.security import Mechanism
from app.settings.kafka import KafkaSettings

_SCHEMES: Final[Mapping[Mechanism, str]] = {
    "PLAIN": "plain",
    "SCRAM-SHA-256": "scramSha256",
    "SCRAM-SHA-512": "scramSha512",
}


def servers(kafka: KafkaSettings) -> dict[str, Any]:
    """One server of AsyncAPI per address of ``kafka.bootstrap``."""
    is_encrypted = kafka.security_protocol.endswith("SSL")
    found = {}
    for number, address in enumerate(kafka.bootstrap.split(","), 1):
        server: dict[str, Any] = {
            "host": address.strip(),
            "protocol": "kafka-secure" if is_encrypted else "kafka",
            "description": f"kafka.security_protocol is {kafka.security_protocol}",
        }
        security = _security(kafka)
        if security:
            server["security"] = security
        found[f"kafka-{number}"] = server
    return found


def _security(kafka: KafkaSettings) -> list[dict[str, Any]]:
    mechanism = kafka.sasl_mechanism
    if mechanism == "OAUTHBEARER":
        flow: dict[str, Any] = {"tokenUrl": kafka.oauth_token_url, "availableScopes": {}}
        return [{"type": "oauth2", "flows": {"clientCredentials": flow}}]
    if mechanism is not None:
        return [{"type": _SCHEMES[mechanism]}]
    return [{"type": "X509"}] if kafka.ssl_certfile is not None else []

"""The settings of the Kafka cluster: where it is, how it is secured, how long it may be silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from agents.kafka.broker import IsolationLevel
from app.settings.values import HOUR_MS, Bootstrap, Section, Text, Whole, setting, whole


class KafkaSettings(Section):
    """How to reach Kafka."""

    bootstrap: Bootstrap = setting(
        "localhost:9092", "host:port, or several separated by commas", "Addresses of some brokers."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", "How connections are secured."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = setting(
        None, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", "How the brokers check who we are."
    )
    sasl_username: Text | None = setting(None, "text", "Name of the SASL account.")
    sasl_password: SecretStr | None = setting(None, "text", "Password of the SASL account.", secret=True)
    ssl_cafile: Path | None = setting(
        None,
        "the path of a file in PEM form",
        "Certificates that vouch for the brokers; by default the system's.",
    )
    session_timeout_ms: Whole = whole(
        45_000,
        1_000,
        HOUR_MS,
        "A worker's partitions go to other workers after this time (ms) without a heartbeat.",
    )
    rebalance_timeout_ms: Whole = whole(
        60_000, 1_000, HOUR_MS, "How long workers have in a rebalance (ms) to finish the records in hand."
    )
    heartbeat_interval_ms: Whole = whole(
        3_000, 100, HOUR_MS, "Time between heartbeats (ms); less than half of kafka.session_timeout_ms."
    )
    metadata_max_age_ms: Whole = whole(
        30_000,
        100,
        HOUR_MS,
        "How often (ms) to ask which partitions topics have; added partitions are then read.",
    )
    idempotence: bool = setting(
        True, "true or false", "Whether producers are idempotent; false for brokers that refuse it."
    )
    isolation_level: IsolationLevel = setting(
        "read_committed",
        "read_committed or read_uncommitted",
        "Whether records of a producer's transaction count only once it is committed, or at once.",
    )


def kafka_disagreements(kafka: KafkaSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with them only beside one another: the names (the one to blame first), the text."""
    protocol = "kafka.security_protocol"
    for key in ("sasl_mechanism", "sasl_username", "sasl_password"):
        is_given = getattr(kafka, key) is not None
        if kafka.security_protocol.startswith("SASL_") and not is_given:
            yield (
                (f"kafka.{key}", protocol),
                f"must be given, because {protocol} is {kafka.security_protocol}",
            )
        elif is_given and not kafka.security_protocol.startswith("SASL_"):
            message = (
                f"has no effect, because {protocol} is {kafka.security_protocol}: SASL_SSL or SASL_PLAINTEXT?"
            )
            yield (f"kafka.{key}", protocol), message
    if kafka.ssl_cafile is not None:
        if not kafka.security_protocol.endswith("SSL"):
            message = f"has no effect, because {protocol} is {kafka.security_protocol}: SSL or SASL_SSL?"
            yield ("kafka.ssl_cafile", protocol), message
        elif not kafka.ssl_cafile.is_file():
            yield ("kafka.ssl_cafile",), "there is no such file"
    if kafka.heartbeat_interval_ms * 2 >= kafka.session_timeout_ms:
        message = f"must be less than half of kafka.session_timeout_ms, which is {kafka.session_timeout_ms}"
        yield ("kafka.heartbeat_interval_ms", "kafka.session_timeout_ms"), message

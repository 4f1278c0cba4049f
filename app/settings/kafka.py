"""The settings of how to reach Kafka, and of how its connections are secured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from agents.kafka.broker import IsolationLevel
from agents.kafka.certificates import FollowingContext
from agents.kafka.security import Mechanism, Protocol
from app.address import may_be_loopback
from app.settings.values import HOUR_MS, Bootstrap, HttpUrl, Section, Text, Whole, setting, whole

_PEM = "the path of a file in PEM form"
OAUTH: Final = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
"""What OAUTHBEARER needs."""


class KafkaSettings(Section):
    """How to reach Kafka."""

    bootstrap: Bootstrap = setting(
        "localhost:9092", "host:port, or several separated by commas", "Addresses of some brokers."
    )
    security_protocol: Protocol = setting(
        "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", "How connections are secured."
    )
    sasl_mechanism: Mechanism | None = setting(
        None, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", "How the brokers check who we are."
    )
    sasl_username: Text | None = setting(None, "text", "Name of the SASL account.")
    sasl_password: SecretStr | None = setting(None, "text", "Password of the SASL account.", secret=True)
    ssl_cafile: Path | None = setting(
        None, _PEM, "Certificates that vouch for the brokers; by default the system's. Followed."
    )
    ssl_certfile: Path | None = setting(
        None, _PEM, "Our certificate and those between it and its authority, for brokers that ask. Followed."
    )
    ssl_keyfile: Path | None = setting(
        None, _PEM, "The key of our certificate; without it the key is in kafka.ssl_certfile. Followed."
    )
    ssl_key_password: SecretStr | None = setting(
        None, "text", "Password of the key of our certificate.", secret=True
    )
    oauth_token_url: HttpUrl | None = setting(
        None, "https://host/path (http:// on this machine only)", "Who gives tokens for OAUTHBEARER."
    )
    oauth_client_id: Text | None = setting(None, "text", "Our client id there.")
    oauth_client_secret: SecretStr | None = setting(None, "text", "Our client secret there.", secret=True)
    oauth_scope: Text | None = setting(None, "text", "The scope that is asked for; by default none.")
    oauth_cafile: Path | None = setting(
        None, _PEM, "Certificates that vouch for kafka.oauth_token_url; by default the system's."
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
    """What doesn't go together: the names of settings (the one to blame first), the text."""
    yield from _accounts(kafka)
    yield from _certificates(kafka)
    if kafka.heartbeat_interval_ms * 2 >= kafka.session_timeout_ms:
        message = f"must be less than half of kafka.session_timeout_ms, which is {kafka.session_timeout_ms}"
        yield ("kafka.heartbeat_interval_ms", "kafka.session_timeout_ms"), message


def _accounts(kafka: KafkaSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    protocol, mechanism = "kafka.security_protocol", "kafka.sasl_mechanism"
    uses_sasl, uses_tokens = (
        kafka.security_protocol.startswith("SASL_"),
        kafka.sasl_mechanism == "OAUTHBEARER",
    )
    passwords = ("sasl_username", "sasl_password")
    needed = ("sasl_mechanism", *(OAUTH if uses_tokens else passwords)) if uses_sasl else ()
    for key in ("sasl_mechanism", *passwords, *OAUTH, "oauth_scope", "oauth_cafile"):
        is_given = getattr(kafka, key) is not None
        if key in needed and not is_given:
            cause = f"{protocol} is {kafka.security_protocol}"
            if key in OAUTH:
                cause = f"{mechanism} is OAUTHBEARER"
            yield (f"kafka.{key}", protocol), f"must be given, because {cause}"
        elif not is_given or key in needed:
            continue
        elif not uses_sasl:
            cause = f"{protocol} is {kafka.security_protocol}: SASL_SSL or SASL_PLAINTEXT?"
            yield (f"kafka.{key}", protocol), f"has no effect, because {cause}"
        elif uses_tokens is (key in passwords):
            yield (f"kafka.{key}", mechanism), f"has no effect, because {mechanism} is {kafka.sasl_mechanism}"
    url = urlsplit(kafka.oauth_token_url or "")
    if url.scheme == "http" and not may_be_loopback(url.hostname or ""):
        message = "must be https://, because the client secret goes there; http:// is for this machine only"
        yield ("kafka.oauth_token_url",), message
    if kafka.oauth_cafile is not None and not kafka.oauth_cafile.is_file():
        yield ("kafka.oauth_cafile",), "there is no such file"


def _certificates(kafka: KafkaSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    protocol = "kafka.security_protocol"
    files = {each: getattr(kafka, each) for each in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")}
    given = {each: file for each, file in files.items() if file is not None}
    secret = {"ssl_key_password"} if kafka.ssl_key_password is not None else set()
    if not kafka.security_protocol.endswith("SSL"):
        message = f"has no effect, because {protocol} is {kafka.security_protocol}: SSL or SASL_SSL?"
        for each in (*given, *secret):
            yield (f"kafka.{each}", protocol), message
        return
    for each in (*given, *secret):
        if each != "ssl_cafile" and kafka.ssl_certfile is None:
            yield (f"kafka.{each}", "kafka.ssl_certfile"), "has no effect without kafka.ssl_certfile"
    missing = [each for each, file in given.items() if not file.is_file()]
    for each in missing:
        yield (f"kafka.{each}",), "there is no such file"
    if missing or not given:
        return
    password = kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None
    try:
        FollowingContext.of(kafka.ssl_cafile, None, None, None)
    except OSError as error:
        yield ("kafka.ssl_cafile",), f"can't be used: {error}"
        return
    try:
        FollowingContext.of(kafka.ssl_cafile, kafka.ssl_certfile, kafka.ssl_keyfile, password)
    except OSError as error:
        message = f"can't be used with kafka.ssl_keyfile and kafka.ssl_key_password: {error}"
        yield ("kafka.ssl_certfile", "kafka.ssl_keyfile"), message

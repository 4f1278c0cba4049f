"""What the settings mean for Kafka: the broker, the topics, and reading published definitions."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from agents.kafka.broker import Broker
from agents.kafka.security import OAuth, Security
from agents.topics import TopicPlan
from app.settings.kafka import KafkaSettings
from app.settings.tree import Settings
from rules.model.language import Audience
from rules.parse.definitions import load_published


def security_of(kafka: KafkaSettings) -> Security:
    return Security(
        protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=_secret(kafka.sasl_password),
        ssl_cafile=_path(kafka.ssl_cafile),
        ssl_certfile=_path(kafka.ssl_certfile),
        ssl_keyfile=_path(kafka.ssl_keyfile),
        ssl_key_password=_secret(kafka.ssl_key_password),
        oauth=_oauth_of(kafka),
    )


def _oauth_of(kafka: KafkaSettings) -> OAuth | None:
    url, client_id, secret = kafka.oauth_token_url, kafka.oauth_client_id, _secret(kafka.oauth_client_secret)
    if url is None or client_id is None or secret is None:
        return None
    return OAuth(url, client_id, secret, kafka.oauth_scope, _path(kafka.oauth_cafile))


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _path(value: Path | None) -> str | None:
    return None if value is None else str(value)


def broker_of(settings: Settings) -> Broker:
    kafka = settings.kafka
    return Broker(
        bootstrap=kafka.bootstrap,
        security=security_of(kafka),
        session_timeout_ms=kafka.session_timeout_ms,
        rebalance_timeout_ms=kafka.rebalance_timeout_ms,
        heartbeat_interval_ms=kafka.heartbeat_interval_ms,
        metadata_max_age_ms=kafka.metadata_max_age_ms,
        isolation_level=kafka.isolation_level,
    )


def plan_of(settings: Settings) -> TopicPlan:
    topics = settings.topics
    return TopicPlan(topics.prefix, settings.worker.app_id, topics.events, topics.history)


def parse_published(text: str, source: str, max_samples: int) -> Audience:
    """One definition from the topic. Raises DefinitionsInvalid."""
    return load_published(f"{source}.json", text, max_samples)

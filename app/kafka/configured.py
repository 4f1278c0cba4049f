"""What the settings mean for Kafka: the broker, the topics, and reading published definitions."""

from __future__ import annotations

from agents.kafka.broker import Broker
from agents.kafka.security import Security
from agents.topics import TopicPlan
from app.settings.kafka import KafkaSettings
from app.settings.tree import Settings
from rules.model.language import Audience
from rules.parse.definitions import load_definition


def security_of(kafka: KafkaSettings) -> Security:
    return Security(
        protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        ssl_cafile=str(kafka.ssl_cafile) if kafka.ssl_cafile else None,
    )


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
    return TopicPlan(settings.topics.prefix, settings.worker.app_id, settings.topics.events)


def parse_published(text: str, source: str, max_samples: int) -> Audience:
    """One definition from the topic. Raises DefinitionsInvalid."""
    return load_definition(f"{source}.json", text, max_samples)

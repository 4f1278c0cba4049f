"""The part of a definition that belongs to its kind: ``webhook``, ``eventhub``, ``kafka``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from agents.deliver.definitions.destination import EventHub, KafkaTopic, Target
from agents.deliver.definitions.hosts import NoHost, endpoint_of
from agents.deliver.definitions.parse_values import Fields
from agents.deliver.definitions.parse_webhook import parse_webhook
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster
from agents.deliver.definitions.templates import TRANSITION_FIELDS, is_field, names_in
from rules.parse.values import join

MIN_EVENTHUB_TIMEOUT_MS: Final = 5_000
AMQPS: Final = 5671
TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_TOPIC_NAMES: Final = ("audience", "project")


KAFKA_CLUSTER: Final = (
    *("bootstrap", "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password", "ssl_cafile"),
)
KAFKA_TOPIC: Final = ("topic", "fields", "membership", "batch", "timeout")
EVENTHUB_NAMESPACE: Final = ("connection_string", "namespace")
EVENTHUB_HUB: Final = ("hub", "partitioning", "batch", "max_batch_bytes", "timeout")
"""The keys of a kind: those that say which system it is in, which a connection has, and the rest."""


def parse_eventhub(fields: Fields) -> EventHub | None:
    fields.reader.keys(fields.entries, fields.path, (*EVENTHUB_NAMESPACE, *EVENTHUB_HUB))
    space, hub = parse_namespace(fields), parse_hub(fields)
    if space.namespace is not None and hub.hub is None:
        fields.reader.problem("missing_key", "with 'namespace', 'hub' is needed", fields.path, fields.at)
    return space.with_hub(hub)


def parse_hub(fields: Fields) -> EventHub:
    """What isn't the namespace."""
    made = EventHub(
        hub=fields.text("hub"),
        partitioning=fields.choice("partitioning", ("lanes", "key"), "lanes"),  # type: ignore[arg-type]
        batch=fields.whole("batch", 500, 1, 10_000),
        max_batch_bytes=fields.whole("max_batch_bytes", 0, 1_024, 1_048_576) or None,
        timeout_ms=fields.timeout(30_000),
    )
    if made.timeout_ms < MIN_EVENTHUB_TIMEOUT_MS:
        fields.wrong("timeout", "timeout of an event hub must be at least 5s: opening a link takes 2")
    return made


def parse_namespace(fields: Fields) -> EventHubNamespace:
    """Which namespace it is; not the hub."""
    made = EventHubNamespace(fields.secret("connection_string"), fields.text("namespace"))
    entries = fields.entries
    if ("connection_string" in entries) is ("namespace" in entries):
        message = "an event hub is reached by connection_string, or by namespace with an Azure identity"
        fields.reader.problem("wrong_value", message, fields.path, fields.at, "give one of the two")
    if made.namespace is not None:
        try:
            endpoint_of(made.namespace, AMQPS)
        except NoHost as error:
            fields.refused_now("namespace", f"namespace: {error}", "such as NAME.servicebus.windows.net")
    return made


def parse_kafka(fields: Fields) -> KafkaTopic | None:
    fields.reader.keys(fields.entries, fields.path, (*KAFKA_TOPIC, *KAFKA_CLUSTER))
    topic = parse_topic(fields)
    return parse_cluster(fields, "the topic is in the service's own cluster").with_topic(topic)


def parse_topic(fields: Fields) -> KafkaTopic:
    """What isn't the cluster."""
    topic = fields.text("topic", required="a Kafka destination needs 'topic'") or ""
    for name in names_in(topic):
        if name not in _TOPIC_NAMES:
            at, inside = fields.entries["topic"].node, join(fields.path, "topic")
            message = f"a topic's name has no variable '{name}'"
            fields.reader.unknown("unknown_variable", message, name, inside, at, _TOPIC_NAMES)
    if topic and TOPIC_NAME.fullmatch(re.sub(r"\$\{\w+\}", "x", topic)) is None:
        fields.wrong("topic", "topic must be 1 to 249 of A-Z a-z 0-9 . _ - and ${audience}, ${project}")
    mapped = fields.plain_map("fields")
    for name, source in mapped.items():
        if not is_field(source):
            inside = join(join(fields.path, "fields"), name)
            fields.reader.unknown(
                "unknown_field",
                f"a transition has no field '{source}'",
                source,
                inside,
                fields.at,
                TRANSITION_FIELDS,
            )
    return KafkaTopic(
        topic=topic,
        fields=mapped,
        membership=fields.flag("membership", False),
        batch=fields.whole("batch", 1_000, 1, 10_000),
        timeout_ms=fields.timeout(30_000),
    )


def parse_cluster(fields: Fields, without_bootstrap: str) -> KafkaCluster:
    """Which cluster it is. ``without_bootstrap``: what it means that there is none."""
    protocols = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    made = KafkaCluster(
        bootstrap=fields.text("bootstrap"),
        security_protocol=fields.choice("security_protocol", protocols, "PLAINTEXT"),  # type: ignore[arg-type]
        sasl_mechanism=fields.choice("sasl_mechanism", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), None),  # type: ignore[arg-type]
        sasl_username=fields.secret_or_text("sasl_username"),
        sasl_password=fields.secret("sasl_password"),
        ssl_cafile=fields.text("ssl_cafile"),
    )
    try:
        for address in (made.bootstrap or "").split(",") if made.bootstrap is not None else ():
            endpoint_of(address)
    except NoHost as error:
        hint = "host:port, or several separated by commas"
        fields.wrong("bootstrap", f"bootstrap: {error}", hint)
    _check_security(fields, made, without_bootstrap)
    return made


def _check_security(fields: Fields, made: KafkaCluster, without_bootstrap: str) -> None:
    security = KAFKA_CLUSTER[1:]
    if made.bootstrap is None:
        for key in security:
            if key in fields.entries:
                fields.wrong(key, f"'{key}' has no effect without 'bootstrap': {without_bootstrap}")
        return
    sasl = made.security_protocol.startswith("SASL_")
    for key in security[1:4]:
        if sasl and key not in fields.entries:
            message = f"'{key}' must be given, because security_protocol is {made.security_protocol}"
            fields.reader.problem("missing_key", message, fields.path, fields.at)
        elif not sasl and key in fields.entries:
            fields.wrong(key, f"'{key}' has no effect, because security_protocol is {made.security_protocol}")
    if made.ssl_cafile is not None and not made.security_protocol.endswith("SSL"):
        fields.wrong("ssl_cafile", f"'ssl_cafile' has no effect with {made.security_protocol}")


PARSERS: Final[Mapping[str, Callable[[Fields], Target | None]]] = {
    "webhook": parse_webhook,
    "eventhub": parse_eventhub,
    "kafka": parse_kafka,
}

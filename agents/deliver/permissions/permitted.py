"""What the settings refuse of a destination, told when it is published and not only when it doesn't run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agents.deliver.definitions.destination import Destination, EventHub, KafkaTopic, Secret, Webhook
from agents.deliver.definitions.hosts import Endpoint, endpoint_of
from agents.deliver.definitions.urls import UrlTemplate
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.permissions.own_topics import OwnTopics
from agents.deliver.secrets.secrets import Secrets


def secrets_in(destination: Destination) -> list[Secret]:
    """The secrets that a definition names, each once."""
    target = destination.target
    texts: Iterable[object]
    if isinstance(target, Webhook):
        texts = secrets_of_webhook(target)
    elif isinstance(target, EventHub):
        texts = [target.connection_string]
    else:
        texts = [target.sasl_username, target.sasl_password]
    return list(dict.fromkeys(each for each in texts if isinstance(each, Secret)))


def secrets_of_webhook(webhook: Webhook) -> list[Secret]:
    """Those in its address, headers, parameters and signature."""
    maps = (webhook.headers, webhook.query, webhook.form or {})
    texts = [webhook.url, *(text for each in maps for text in each.values()), webhook.signing_secret]
    return [each for each in texts if isinstance(each, Secret)]


def refusals(destination: Destination, secrets: Secrets, own: OwnTopics) -> list[str]:
    """Why it couldn't run: secrets that aren't declared or may not go there, a topic of our own."""
    refused = secret_refusals(secrets_in(destination), _endpoints(destination), secrets)
    return [*refused, *topic_refusals(destination, own)]


def secret_refusals(used: Iterable[Secret], endpoints: Sequence[Endpoint], secrets: Secrets) -> Iterator[str]:
    """Where a secret is sent to may itself be a secret: then only whether it is declared is looked at."""
    for secret in used:
        try:
            secrets.declared(secret)
        except SinkMisconfigured as error:
            hosts = ", ".join(sorted({each.host for each in endpoints})) or "HOST"
            entry = f"{{name: {secret.name}, source: {{env: VARIABLE}}, hosts: [{hosts}]}}"
            yield f"{error}; declare it for the delivery workers: deliver.secrets: [{entry}]"
            continue
        for endpoint in endpoints:
            try:
                secrets.allow(secret, endpoint)
            except SinkMisconfigured as error:
                yield str(error)


def topic_refusals(destination: Destination, own: OwnTopics) -> Iterator[str]:
    """Of a topic in our own cluster whose name holds no variable."""
    target = destination.target
    if isinstance(target, KafkaTopic) and target.bootstrap is None:
        reason = own.why_not(target.topic)
        if reason is not None:
            yield f"kafka.topic: {reason}"


def _endpoints(destination: Destination) -> Sequence[Endpoint]:
    target = destination.target
    if isinstance(target, Webhook):
        return endpoints_of_webhook(target)
    if isinstance(target, KafkaTopic) and target.bootstrap is not None:
        return [endpoint_of(each) for each in target.bootstrap.split(",")]
    return []


def endpoints_of_webhook(webhook: Webhook) -> Sequence[Endpoint]:
    """None where the address is a secret."""
    return [UrlTemplate.parse(webhook.url).endpoint] if isinstance(webhook.url, str) else []

"""The AsyncAPI 3 document of these settings: ``turnstile topology --asyncapi``. Nothing is asked of Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agents.formats.cloudevents import NATIVE
from agents.topics.plan import Role, TopicPlan, Wanted, wanted_topics
from app.asyncapi.messages import BINDING, DELIVERED, JSON, MESSAGES, NATIVES, described, record_message
from app.asyncapi.servers import servers
from app.kafka.configured import plan_of
from app.settings.formats import SourceFormat
from app.settings.tree import Settings

DESTINATION = "destination"
"""Destinations aren't settings: their names are a parameter of addresses."""
LETTERS_PARTITION = "Of the record's partition, modulo the number of partitions here"


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic of the contract. ``wanted`` None: it is none of ours, and its name isn't a setting."""

    id: str
    title: str
    description: str
    messages: Sequence[str]
    action: Literal["receive", "send"]
    wanted: Wanted | None = None
    group: str | None = None
    format: SourceFormat | None = None
    """Of a source."""


def asyncapi_of(settings: Settings) -> dict[str, Any]:
    """What goes in and out, for these settings; it holds no secret."""
    channels = list(_channels(settings))
    messages, schemas = described(MESSAGES)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Turnstile ({settings.worker.app_id})",
            "version": "1",
            "description": "Events and profile updates come in; enters and exits of audiences go out. "
            "docs/contracts.md is the same for people.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": servers(settings.kafka),
        "channels": {each.id: _channel(each, settings) for each in channels},
        "operations": {f"{each.action}:{each.id}": _operation(each) for each in channels},
        "components": {"messages": messages, "schemas": schemas},
    }


def _channels(settings: Settings) -> Iterator[Channel]:
    plan = plan_of(settings)
    wanted = {each.name: each for each in wanted_topics(plan, settings.topics.partitions)}
    formats = {each.topic: each for each in settings.sources.formats}
    for name in plan.events:
        known = formats.get(name, SourceFormat(topic=name, format=NATIVE))
        text = (
            f"Input records in the format {known.format} (docs/source-formats.md). A user's records are "
            "applied in the order of their partition."
        )
        inputs = NATIVES if known.format == NATIVE else (record_message(known.format),)
        yield Channel(name, "Source", text, inputs, "receive", wanted[name], plan.app_id, known)
    for name in plan.history:
        text = (
            "Records from before the source topics begin, in the native format. `turnstile import` writes "
            "them; they are read to compute new definitions."
        )
        yield Channel(name, "History", text, ("track", "profile"), "receive", wanted[name])
    text = "Each change of a membership. The transitions of one user are in order."
    yield Channel(plan.transitions, "Transitions", text, ("transition",), "send", wanted[plan.transitions])
    text = (
        "Who claims which identity; the newest claim holds. The partition is that of the key's project, "
        "namespace and value, as a JSON list."
    )
    claims = "claim", "forgotten"
    yield Channel(plan.identities, "Identities", text, claims, "send", wanted[plan.identities])
    text = "Every change of a definition, a destination or an API key, in their order."
    yield Channel(plan.audit, "Audit", text, ("change",), "send", wanted[plan.audit])
    for name, message in _letters(plan):
        text = f"What can't be used, and why. {LETTERS_PARTITION}."
        yield Channel(name, "Dead letters", text, (message, "replayNote"), "send", wanted[name])
    undelivered = plan.undelivered_topic(f"{{{DESTINATION}}}", settings.topics.partitions)
    text = "What a destination will never take, and why; `turnstile deliver replay` sends it again."
    yield Channel("undelivered", "Undelivered", text, ("undelivered",), "send", undelivered)
    text = (
        "The topics of Kafka destinations, as each definition names them (`topic`), with the `body` that it "
        "asks for. A destination with `fields` has a body of its own; with `membership: true` an exit has no "
        "value."
    )
    yield Channel("delivered", "Delivered", text, DELIVERED, "send")


def _letters(plan: TopicPlan) -> Iterator[tuple[str, str]]:
    """The dead-letter topics of a worker, and their kind of message."""
    for name in plan.events:
        yield plan.dead_letters(name), "deadLetter"
    yield plan.dead_letters(plan.repartition), "repartitionDeadLetter"
    yield plan.dead_letters(plan.transitions), "refusedTransition"
    yield plan.dead_letters(plan.identities), "refusedClaim"


def _channel(channel: Channel, settings: Settings) -> dict[str, Any]:
    wanted = channel.wanted
    found: dict[str, Any] = {
        "address": wanted.name if wanted is not None else None,
        "title": channel.title,
        "description": channel.description,
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in channel.messages},
    }
    if channel.format is not None:
        found["x-format"] = channel.format.format
        if channel.format.data_format is not None:
            found["x-data-format"] = channel.format.data_format
    if wanted is None:
        return found
    if f"{{{DESTINATION}}}" in wanted.name:
        found["parameters"] = {DESTINATION: {"description": "Name of the destination."}}
    found["bindings"] = {"kafka": _topic(wanted, settings)}
    return found


def _topic(wanted: Wanted, settings: Settings) -> dict[str, Any]:
    """As the topic is made by us. Of a source that others make nothing is known."""
    found: dict[str, Any] = {"bindingVersion": BINDING}
    if "{" not in wanted.name:
        found["topic"] = wanted.name
    if wanted.role is Role.SOURCE and not settings.topics.create:
        return found
    found["partitions"] = wanted.partitions
    if settings.topics.replication is not None:
        found["replicas"] = settings.topics.replication
    configs = {
        name: [value] if name == "cleanup.policy" else int(value)
        for name, value in wanted.configs.items()
        if name in ("cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes")
    }
    if configs:
        found["topicConfiguration"] = configs
    return found


def _operation(channel: Channel) -> dict[str, Any]:
    where = f"#/channels/{channel.id}"
    found: dict[str, Any] = {
        "action": channel.action,
        "channel": {"$ref": where},
        "summary": channel.title,
        "messages": [{"$ref": f"{where}/messages/{each}"} for each in channel.messages],
    }
    if channel.group is not None and channel.action == "receive":
        group = {"type": "string", "const": channel.group}
        found["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return found

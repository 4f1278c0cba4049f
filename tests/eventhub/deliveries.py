"""Sinks and deliveries for the Event Hub tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import Destination, EventHub, Secret
from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.secrets.secrets import Declared, Secrets, SecretSources
from agents.evaluate.transitions import TransitionBody, transition_id
from agents.kafka.broker import Broker
from agents.sinks.eventhub.sink import EventHubSink

AT = "2026-11-22T01:02:03.456Z"
NAME = "EVENT_HUB_CONNECTION"


def destination(**target: Any) -> Destination:
    defaults: dict[str, Any] = {"connection_string": Secret(NAME), "timeout_ms": 20_000}
    return Destination("lake", EventHub(**(defaults | target)))


def secrets_of(environ: Mapping[str, str], *hosts: str, folder: Path | None = None) -> Secrets:
    """Each variable is a secret under its name, for these hosts; by default for the stand-in and Azure."""
    to = tuple(map(HostPattern.parse, hosts or ("localhost", "127.0.0.1", "*.servicebus.windows.net")))
    found = {name: Declared(name, to, env=name) for name in environ}
    return Secrets(SecretSources(found, folder, environ))


def context(environ: dict[str, str], **more: Any) -> SinkContext:
    """The stand-in is allowed as a host of event hubs, unless ``more`` says otherwise."""
    made = SinkContext(
        secrets_of(environ), Broker("127.0.0.1:1"), eventhub_hosts=(HostPattern.parse("localhost"),)
    )
    return dataclasses.replace(made, **more)


def sink_to(text: str, /, **target: Any) -> EventHubSink:
    return EventHubSink(destination(**target), context({NAME: text}))


def transition(user_id: str, seq: int = 1, event: str = "enter", audience: str = "cart") -> TransitionBody:
    return TransitionBody(
        id=transition_id("default", audience, user_id, seq),
        event=event,
        project="default",
        audience=audience,
        audience_name="Cart",
        audience_version=1,
        user_id=user_id,
        seq=seq,
        at=AT,
        cause="event",
        trigger=None,
        entered_at=AT,
        exit_at=None,
    )


def delivery(user_id: str, seq: int = 1, body: bytes | None = None) -> Delivery:
    made = transition(user_id, seq)
    return Delivery(
        made.id, user_id, user_id, (made,), msgspec.json.encode(made) if body is None else body, 0, seq
    )


def deliveries(users: int, each: int = 1) -> list[Delivery]:
    """`each` of every user, in order."""
    return [delivery(f"user-{user}", seq) for seq in range(1, each + 1) for user in range(users)]

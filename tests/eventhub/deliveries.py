"""Sinks and deliveries for the Event Hub tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from agents.broker import Broker
from agents.deliver.destination import Destination, EventHub, Secret
from agents.deliver.secrets import Secrets
from agents.deliver.sink import Delivery, SinkContext
from agents.sinks.eventhub import EventHubSink
from agents.transitions import TransitionBody, transition_id

AT = "2026-11-22T01:02:03.456Z"
NAME = "EVENT_HUB_CONNECTION"


def destination(**target: Any) -> Destination:
    defaults: dict[str, Any] = {"connection_string": Secret("env", NAME), "timeout_ms": 5_000}
    return Destination("lake", EventHub(**(defaults | target)))


def context(environ: dict[str, str], **more: Any) -> SinkContext:
    return dataclasses.replace(SinkContext(Secrets(environ), Broker("127.0.0.1:1")), **more)


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

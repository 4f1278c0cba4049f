"""Destinations ``on: event``: each event that the rules of their audiences let through is sent, instead of
transitions. Workers decide which those are (``rules.compile.destination``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from agents.deliver.definitions.destination import Destination, KafkaTopic
from agents.deliver.definitions.parse_values import Fields
from rules.compile.destination import EventDestination
from rules.compile.with_destinations import EventDestinations
from rules.model.language import EventPattern
from rules.parse.document import Node
from rules.parse.event import parse_pattern
from rules.parse.values import join

ON: Final = ("transition", "event")
OF_EVENTS: Final = ("destination", "filter", "properties")
"""Fields that transitions don't have."""
_OF_TRANSITIONS: Final = ("transitions", "causes", "existing_members")
"""Keys that say which transitions are sent."""


def event_destinations(destinations: Iterable[Destination]) -> EventDestinations:
    """Those ``on: event``, as workers know them. Paused ones get theirs when they go on."""
    return EventDestinations(
        EventDestination(each.project, each.name, each.audiences, each.events)
        for each in destinations
        if each.on == "event"
    )


def parse_on_event(fields: Fields) -> tuple[Literal["transition", "event"], tuple[EventPattern, ...]]:
    """``on`` and ``events``."""
    is_event = fields.choice("on", ON, "transition") == "event"
    events = _events(fields)
    if is_event:
        for key in _OF_TRANSITIONS:
            if key in fields.entries:
                fields.wrong(key, f"'{key}' has no effect, because on is event")
        return "event", events
    if "events" in fields.entries:
        fields.wrong("events", "events are sent with on: event only", "on: event")
    return "transition", events


def check_on_event(fields: Fields, made: Destination) -> None:
    """What only transitions can be."""
    if made.on != "event":
        return
    if made.body == "lytics":
        fields.wrong(
            "body", "the body lytics is made of transitions", "take native or segment with on: event"
        )
    if isinstance(made.target, KafkaTopic) and made.target.membership:
        fields.wrong(made.kind, "membership is made of transitions", "leave it out with on: event")


def _events(fields: Fields) -> tuple[EventPattern, ...]:
    """Names, or ``{event: purchase, where: {...}}``; a single one need not be in a list."""
    if "events" not in fields.entries:
        return ()
    node, path = fields.entries["events"].node, join(fields.path, "events")
    if not isinstance(node.value, tuple):
        found = [_event(fields, node, path)]
    else:
        items = fields.reader.items(node, path, "events") or ()
        found = [_event(fields, each, join(path, at)) for at, each in enumerate(items)]
    return tuple(each for each in found if each is not None)


def _event(fields: Fields, node: Node, path: str) -> EventPattern | None:
    if not isinstance(node.value, str):
        return parse_pattern(fields.reader, node, path, "an event")
    name = fields.reader.text(node, path, "an event")
    return None if name is None else EventPattern((name,), None)

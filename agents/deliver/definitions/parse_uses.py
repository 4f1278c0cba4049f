"""A destination's own part where its system is a connection's: what the connection has must not be here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from agents.deliver.definitions.destination import EventHub, KafkaTopic, Scalar, Target, Variable, Webhook
from agents.deliver.definitions.parse_targets import (
    EVENTHUB_HUB,
    EVENTHUB_NAMESPACE,
    KAFKA_CLUSTER,
    KAFKA_TOPIC,
    parse_hub,
    parse_topic,
)
from agents.deliver.definitions.parse_values import Fields
from agents.deliver.definitions.parse_webhook import WEBHOOK, parse_variables
from agents.deliver.definitions.templates import BUILT_IN, names_in
from rules.parse.values import join


def _webhook(fields: Fields) -> Webhook:
    _only(fields, ("parameters", "variables"), WEBHOOK - {"variables"})
    variables = parse_variables(fields)
    return Webhook("", parameters=_parameters(fields, variables), variables=variables)


def _eventhub(fields: Fields) -> EventHub:
    _only(fields, EVENTHUB_HUB, EVENTHUB_NAMESPACE)
    return parse_hub(fields)


def _kafka(fields: Fields) -> KafkaTopic:
    _only(fields, KAFKA_TOPIC, KAFKA_CLUSTER)
    return parse_topic(fields)


USES: Final[Mapping[str, Callable[[Fields], Target]]] = {
    "webhook": _webhook,
    "eventhub": _eventhub,
    "kafka": _kafka,
}


def _only(fields: Fields, own: Collection[str], of_connection: Collection[str]) -> None:
    for key in fields.entries:
        if key in of_connection:
            fields.wrong(key, f"'{key}' is the connection's: leave it out here, or leave out connection")
    known = {key: entry for key, entry in fields.entries.items() if key not in of_connection}
    fields.reader.keys(known, fields.path, own)


def _parameters(fields: Fields, variables: Mapping[str, Variable]) -> Mapping[str, Scalar]:
    """What is filled in; whether the connection has such parameters is looked at when it is resolved."""
    entry, inside = fields.entries.get("parameters"), join(fields.path, "parameters")
    entries = fields.reader.entries(entry.node, inside, "parameters") if entry is not None else None
    found: dict[str, Scalar] = {}
    for name, each in (entries or {}).items():
        value, at = each.node.value, join(inside, name)
        if not isinstance(value, str | int | float | bool):
            fields.reader.wrong_type(each.node, at, name, "text, a number, true or false")
            continue
        found[name] = value
        for used in names_in(value) if isinstance(value, str) else ():
            if used not in variables and used not in BUILT_IN:
                message, allowed = f"there is no variable '{used}'", (*variables, *BUILT_IN)
                fields.reader.unknown("unknown_variable", message, used, at, each.node, allowed)
    return found

"""Templates of webhooks: text and JSON trees with ``${name}``.

In text an empty variable is its default, or nothing. A JSON string that is nothing but ``${name}`` becomes
the value itself, a number or a list too; null where there is neither value nor default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from agents.deliver.definitions.destination import (
    Destination,
    Filled,
    Json,
    KafkaTopic,
    Secret,
    Variable,
    Webhook,
)
from rules.predicates.paths import MISSING

REACH_ID: Final = "reach_id"
BUILT_IN: Final = (
    *("id", "event", "project", "audience", "audience_name", "audience_version", "user_id", "seq", "at"),
    *("cause", "entered_at", "exit_at", "entered_at_is_bound"),
    *("id_type", "reach_by", REACH_ID),
)
"""Fields of the transition that are variables by themselves; ``user_id`` is the id of the type to send,
``reach_id`` the identity that ``reach_by`` names."""

TRANSITION_FIELDS: Final = (
    *(*BUILT_IN, "trigger.event", "trigger.id", "trigger.time"),
    *("destination", "properties"),
)
"""All fields of a transition that a definition may name."""


def is_field(name: str) -> bool:
    """Whether a definition may name a transition's field so, or a property of an event that is sent."""
    return name in TRANSITION_FIELDS or name.startswith("properties.")


_VARIABLE: Final = re.compile(r"\$\{(\w+)\}", re.ASCII)

Values: TypeAlias = Callable[[str], object]
"""A variable's value by its name; None where there is none."""


def names_in(text: str) -> list[str]:
    """The variables that a text mentions."""
    return _VARIABLE.findall(text)


def names_used(webhook: Webhook) -> list[str]:
    """The variables that a webhook mentions, but for those in secrets."""
    maps = (webhook.headers, webhook.query, webhook.form or {})
    texts = [webhook.url, *(text for each in maps for text in each.values()), *strings_in(webhook.json)]
    return [name for text in texts if isinstance(text, str) for name in names_in(text)]


def reach_fault(destination: Destination) -> str | None:
    """What is wrong with ``reach_by`` beside what is sent; None: nothing is."""
    is_sent = REACH_ID in _names_of(destination)
    if destination.reach_by is None:
        return "${reach_id} is sent, so 'reach_by' must say which identity it is" if is_sent else None
    hidden = isinstance(destination.target, Webhook) and isinstance(destination.target.url, Secret)
    if is_sent or hidden or destination.body != "native":
        return None
    return "'reach_by' has no effect: send ${reach_id}, or take the body lytics or segment"


def _names_of(destination: Destination) -> Iterator[str]:
    """The variables and fields that a destination's target mentions, but for those in secrets."""
    target = destination.target
    if isinstance(target, KafkaTopic):
        yield from target.fields.values()
    elif isinstance(target, Webhook):
        yield from names_used(target)
        yield from (name for each in target.parameters.values() for name in names_in(str(each)))
        yield from (each.path[0] for each in variables_in(target.variables) if each.source == "field")


def variables_in(variables: Mapping[str, Variable | Filled]) -> Iterator[Variable]:
    """All of them, those within parameters included."""
    for each in variables.values():
        if isinstance(each, Filled):
            yield from variables_in(each.variables)
        else:
            yield each


def strings_in(value: Json) -> Iterator[str]:
    """All texts of a JSON tree, but for names in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings_in(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from strings_in(each)


def split_text(text: str) -> list[str]:
    """A text as literals and, between them, the names of variables: an odd number of parts."""
    return _VARIABLE.split(text)


def fill_text(text: str, values: Values) -> str:
    """``text`` with its variables."""
    return _VARIABLE.sub(lambda match: as_text(values(match[1])), text) if "$" in text else text


def fill_json(tree: Json, values: Values) -> object:
    """A JSON tree with its variables."""
    if isinstance(tree, str):
        whole = _VARIABLE.fullmatch(tree)
        return values(whole[1]) if whole else fill_text(tree, values)
    if isinstance(tree, Mapping):
        return {key: fill_json(each, values) for key, each in tree.items()}
    if isinstance(tree, tuple):
        return [fill_json(each, values) for each in tree]
    return tree


def as_text(value: object) -> str:
    """A value in the midst of text: booleans as JSON has them, lists with commas, nothing for null."""
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return ", ".join(as_text(each) for each in value)
    return str(value)

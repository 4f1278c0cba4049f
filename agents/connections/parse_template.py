"""A webhook as a template: requests, and the parameters that a use fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from agents.connections.connection import Parameter, WebhookTemplate
from agents.connections.parameters import why_wrong
from agents.deliver.definitions.destination import Scalar
from agents.deliver.definitions.parse_values import Fields
from agents.deliver.definitions.parse_webhook import WEBHOOK, parse_requests
from agents.deliver.definitions.templates import BUILT_IN
from rules.parse.values import join

KINDS: Final = ("text", "number", "choice")
_NAME: Final = re.compile(r"\w+", re.ASCII)


def parse_template(fields: Fields) -> WebhookTemplate:
    fields.reader.keys(fields.entries, fields.path, {*WEBHOOK, "parameters"})
    parameters = _parameters(fields)
    webhook = parse_requests(fields, parameters)
    for name in sorted(parameters.keys() & webhook.variables.keys()):
        fields.wrong("variables", f"'{name}' is a parameter and a variable: give one of them another name")
    return WebhookTemplate(webhook, parameters)


def _parameters(fields: Fields) -> Mapping[str, Parameter]:
    entry, inside = fields.entries.get("parameters"), join(fields.path, "parameters")
    entries = fields.reader.entries(entry.node, inside, "parameters") if entry is not None else None
    found: dict[str, Parameter] = {}
    for name, each in (entries or {}).items():
        at = join(inside, name)
        if _NAME.fullmatch(name) is None:
            message = "a parameter's name has letters, digits and _ only"
            fields.reader.problem("wrong_value", message, at, each)
        if name in BUILT_IN:
            message = f"'{name}' is a field of each transition: give the parameter another name"
            fields.reader.problem("wrong_value", message, at, each)
        own = fields.reader.entries(each.node, at, name)
        found[name] = (
            Parameter() if own is None else _parameter(Fields(fields.reader, own, at, each.node), name)
        )
    return found


def _parameter(fields: Fields, name: str) -> Parameter:
    fields.reader.keys(fields.entries, fields.path, ("type", "required", "default", "choices", "help"))
    kind = fields.choice("type", KINDS, "text")
    default = _default(fields)
    made = Parameter(
        kind=kind,  # type: ignore[arg-type]
        required=fields.flag("required", False),
        default=default,
        choices=fields.texts("choices"),
        help=fields.text("help") or "",
    )
    if kind == "choice" and not made.choices:
        message = f"'choices' must be given, because {name} is a choice"
        fields.reader.problem("missing_key", message, fields.path, fields.at)
    elif kind != "choice" and "choices" in fields.entries:
        fields.wrong("choices", f"'choices' has no effect, because {name} is a {kind}")
    if made.required and default is not None:
        fields.wrong("default", "a parameter that is required has no default")
    elif default is not None and (reason := why_wrong(name, made, default, has_variables=False)):
        fields.wrong("default", reason)
    return made


def _default(fields: Fields) -> Scalar | None:
    if "default" not in fields.entries:
        return None
    node = fields.entries["default"].node
    if isinstance(node.value, str | int | float | bool):
        return node.value
    fields.reader.wrong_type(node, join(fields.path, "default"), "default", "text, a number, true or false")
    return None

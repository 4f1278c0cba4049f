"""The part of a definition that belongs to a webhook."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from agents.deliver.definitions.destination import Secret, Text, Variable, Webhook
from agents.deliver.definitions.headers import header_faults
from agents.deliver.definitions.parse_values import Fields, plain
from agents.deliver.definitions.templates import BUILT_IN, TRANSITION_FIELDS, is_field, names_in, strings_in
from agents.deliver.definitions.urls import UrlTemplate, UrlWrong
from rules.parse.values import join

WEBHOOK: Final = frozenset({*Webhook.__dataclass_fields__, "timeout"} - {"timeout_ms", "parameters"})
"""The keys of a webhook that is written down whole."""


def parse_webhook(fields: Fields) -> Webhook | None:
    fields.reader.keys(fields.entries, fields.path, WEBHOOK)
    return parse_requests(fields, ())


def parse_requests(fields: Fields, parameters: Collection[str]) -> Webhook:
    """What requests look like. ``parameters``: names that may be used beside variables and fields."""
    url = fields.secret_or_text("url", required="a webhook needs 'url'")
    variables = parse_variables(fields)
    made = Webhook(
        url=url or "",
        method=fields.choice("method", ("POST", "PUT", "PATCH", "GET", "DELETE"), "POST"),  # type: ignore[arg-type]
        headers=fields.text_map("headers"),
        query=fields.text_map("query"),
        form=fields.text_map("form") if "form" in fields.entries else None,
        json=plain(fields.entries["json"].node) if "json" in fields.entries else None,
        variables=variables,
        signing_secret=fields.secret("signing_secret"),
        batch=fields.whole("batch", 1, 1, 1_000),
        concurrency=fields.whole("concurrency", 16, 1, 1_000),
        timeout_ms=fields.timeout(15_000),
    )
    if isinstance(url, str) and url:
        _check_url(fields, url)
    if made.form is not None and "json" in fields.entries:
        fields.wrong("form", "form and json can't both be the body")
    if made.batch > 1 and made.form is not None:
        fields.wrong("batch", "a form holds one transition: batch must be 1")
    if made.method in ("GET", "DELETE") and (
        made.form is not None or made.json is not None or made.batch > 1
    ):
        fields.wrong("method", f"{made.method} has no body: leave out json, form and batch")
    _check_headers(fields, made)
    _check_names(fields, made, (*variables, *parameters, *BUILT_IN))
    return made


def parse_variables(fields: Fields) -> Mapping[str, Variable]:
    entry = fields.entries.get("variables")
    inside = join(fields.path, "variables")
    entries = fields.reader.entries(entry.node, inside, "variables") if entry is not None else None
    found: dict[str, Variable] = {}
    for name, each in (entries or {}).items():
        at = join(inside, name)
        own = fields.reader.entries(each.node, at, name)
        if own is None:
            continue
        fields.reader.keys(own, at, ("attribute", "property", "field", "default"))
        sources = [key for key in ("attribute", "property", "field") if key in own]
        if re.fullmatch(r"\w+", name, re.ASCII) is None:
            fields.reader.problem("wrong_value", "a variable's name has letters, digits and _ only", at, each)
        if len(sources) != 1:
            message = "a variable is an attribute of the user, a property of the event, or a field"
            hint = "give one of attribute, property, field"
            fields.reader.problem("wrong_value", message, at, each, hint)
            continue
        text = fields.reader.text(own[sources[0]].node, join(at, sources[0]), sources[0])
        path = fields.reader.dotted(text, join(at, sources[0]), own[sources[0]]) if text else None
        if sources[0] == "field" and text and not is_field(text):
            message = f"a transition has no field '{text}'"
            fields.reader.unknown("unknown_field", message, text, at, own["field"], TRANSITION_FIELDS)
        default: Any = plain(own["default"].node) if "default" in own else None
        if isinstance(default, tuple | dict):
            fields.reader.wrong_type(own["default"].node, join(at, "default"), "default", "text or a number")
            continue
        if path is not None:
            found[name] = Variable(sources[0], path, default)  # type: ignore[arg-type]
    return found


def _check_url(fields: Fields, url: str) -> None:
    try:
        UrlTemplate.parse(url)
    except UrlWrong as error:
        hint = "headers: {Authorization: {secret: NAME}}" if "password" in str(error) else ""
        fields.refused_now("url", str(error), hint)


def _check_headers(fields: Fields, made: Webhook) -> None:
    texts = ((name, value if isinstance(value, str) else None) for name, value in made.headers.items())
    for fault in header_faults(texts):
        fields.refused_now("headers", fault)


def _check_names(fields: Fields, made: Webhook, allowed: Collection[str]) -> None:
    texts: list[tuple[str, str]] = [("url", made.url)] if isinstance(made.url, str) else []
    for key, mapping in (("query", made.query), ("form", made.form or {}), ("headers", made.headers)):
        texts += [(key, text) for text in _texts(mapping)]
    texts += [("json", text) for text in strings_in(made.json)]
    for key, text in texts:
        for name in names_in(text):
            if name not in allowed:
                at = fields.entries[key].node
                message = f"there is no variable '{name}'"
                inside = join(fields.path, key)
                fields.reader.unknown("unknown_variable", message, name, inside, at, allowed)


def _texts(mapping: Mapping[str, Text]) -> Iterator[str]:
    return (text for text in mapping.values() if not isinstance(text, Secret))

"""The part of a definition that belongs to its kind: ``webhook``, ``eventhub``, ``kafka``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from agents.deliver.destination import (
    EventHub,
    Json,
    KafkaTopic,
    Secret,
    Target,
    Text,
    Variable,
    Webhook,
)
from agents.deliver.parse_values import Fields, plain
from agents.deliver.templates import BUILT_IN, names_in
from rules.parse_reader import join

MAX_TIMEOUT_MS: Final = 600_000
MIN_EVENTHUB_TIMEOUT_MS: Final = 5_000
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_TOPIC_NAMES: Final = ("audience", "project")
_ADDRESSES: Final = re.compile(r"[^\s:,]+:\d{1,5}(,[^\s:,]+:\d{1,5})*")
TRANSITION_FIELDS: Final = (
    *("id", "event", "project", "audience", "audience_name", "audience_version", "user_id", "seq", "at"),
    *("cause", "entered_at", "exit_at", "trigger.event", "trigger.id", "trigger.time"),
)


def parse_webhook(fields: Fields) -> Webhook | None:
    own = {*Webhook.__dataclass_fields__, "timeout"} - {"timeout_ms"}
    fields.reader.keys(fields.entries, fields.path, own)
    url = fields.secret_or_text("url", required="a webhook needs 'url'")
    variables = _variables(fields)
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
        timeout_ms=_timeout(fields, 15_000),
    )
    if isinstance(url, str) and url:
        _check_url(fields, url)
    if made.form is not None and "json" in fields.entries:
        fields.wrong("form", "form and json can't both be the body")
    if made.batch > 1 and made.form is not None:
        fields.wrong("batch", "a form holds one transition: batch must be 1")
    if made.batch > 1 and any(names_in(each) for each in _texts(made.query)):
        fields.wrong("batch", "a query with variables is of one transition: batch must be 1")
    if made.method in ("GET", "DELETE") and (
        made.form is not None or made.json is not None or made.batch > 1
    ):
        fields.wrong("method", f"{made.method} has no body: leave out json, form and batch")
    _check_names(fields, made, variables)
    return made


def parse_eventhub(fields: Fields) -> EventHub | None:
    allowed = ("connection_string", "namespace", "hub", "partitioning", "batch", "max_batch_bytes", "timeout")
    fields.reader.keys(fields.entries, fields.path, allowed)
    made = EventHub(
        connection_string=fields.secret("connection_string"),
        namespace=fields.text("namespace"),
        hub=fields.text("hub"),
        partitioning=fields.choice("partitioning", ("lanes", "key"), "lanes"),  # type: ignore[arg-type]
        batch=fields.whole("batch", 500, 1, 10_000),
        max_batch_bytes=fields.whole("max_batch_bytes", 0, 1_024, 1_048_576) or None,
        timeout_ms=_timeout(fields, 30_000),
    )
    if made.timeout_ms < MIN_EVENTHUB_TIMEOUT_MS:
        fields.wrong("timeout", "timeout of an event hub must be at least 5s: opening a link takes 2")
    entries = fields.entries
    if ("connection_string" in entries) is ("namespace" in entries):
        message = "an event hub is reached by connection_string, or by namespace with an Azure identity"
        fields.reader.problem("wrong_value", message, fields.path, fields.at, "give one of the two")
    if made.namespace is not None and made.hub is None:
        fields.reader.problem("missing_key", "with 'namespace', 'hub' is needed", fields.path, fields.at)
    return made


def parse_kafka(fields: Fields) -> KafkaTopic | None:
    own = {*KafkaTopic.__dataclass_fields__, "timeout"} - {"timeout_ms"}
    fields.reader.keys(fields.entries, fields.path, own)
    topic = fields.text("topic", required="a Kafka destination needs 'topic'") or ""
    for name in names_in(topic):
        if name not in _TOPIC_NAMES:
            at, inside = fields.entries["topic"].node, join(fields.path, "topic")
            message = f"a topic's name has no variable '{name}'"
            fields.reader.unknown("unknown_variable", message, name, inside, at, _TOPIC_NAMES)
    if topic and _TOPIC.fullmatch(re.sub(r"\$\{\w+\}", "x", topic)) is None:
        fields.wrong("topic", "topic must be 1 to 249 of A-Z a-z 0-9 . _ - and ${audience}, ${project}")
    mapped = fields.plain_map("fields")
    for name, source in mapped.items():
        if source not in TRANSITION_FIELDS:
            inside = join(join(fields.path, "fields"), name)
            fields.reader.unknown(
                "unknown_field",
                f"a transition has no field '{source}'",
                source,
                inside,
                fields.at,
                TRANSITION_FIELDS,
            )
    protocols = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    made = KafkaTopic(
        topic=topic,
        bootstrap=fields.text("bootstrap"),
        security_protocol=fields.choice("security_protocol", protocols, "PLAINTEXT"),  # type: ignore[arg-type]
        sasl_mechanism=fields.choice("sasl_mechanism", ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), None),  # type: ignore[arg-type]
        sasl_username=fields.secret_or_text("sasl_username"),
        sasl_password=fields.secret("sasl_password"),
        ssl_cafile=fields.text("ssl_cafile"),
        fields=mapped,
        membership=fields.flag("membership", False),
        batch=fields.whole("batch", 1_000, 1, 10_000),
        timeout_ms=_timeout(fields, 30_000),
    )
    if made.bootstrap is not None and _ADDRESSES.fullmatch(made.bootstrap) is None:
        fields.wrong("bootstrap", "bootstrap must be host:port, or several separated by commas")
    _check_security(fields, made)
    return made


def _check_security(fields: Fields, made: KafkaTopic) -> None:
    security = ("security_protocol", "sasl_mechanism", "sasl_username", "sasl_password", "ssl_cafile")
    if made.bootstrap is None:
        for key in security:
            if key in fields.entries:
                message = (
                    f"'{key}' has no effect without 'bootstrap': the topic is in the service's own cluster"
                )
                fields.wrong(key, message)
        return
    sasl = made.security_protocol.startswith("SASL_")
    for key in security[1:4]:
        if sasl and key not in fields.entries:
            message = f"'{key}' must be given, for security_protocol is {made.security_protocol}"
            fields.reader.problem("missing_key", message, fields.path, fields.at)
        elif not sasl and key in fields.entries:
            fields.wrong(key, f"'{key}' has no effect, for security_protocol is {made.security_protocol}")
    if made.ssl_cafile is not None and not made.security_protocol.endswith("SSL"):
        fields.wrong("ssl_cafile", f"'ssl_cafile' has no effect with {made.security_protocol}")


def _timeout(fields: Fields, default_ms: int) -> int:
    timeout_ms = fields.duration("timeout", default_ms)
    if timeout_ms > MAX_TIMEOUT_MS:
        fields.wrong("timeout", "timeout must be at most 10m")
    return timeout_ms


def _variables(fields: Fields) -> Mapping[str, Variable]:
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
        if sources[0] == "field" and text and text not in TRANSITION_FIELDS:
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
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        fields.wrong("url", f"url isn't an address: {error}")
        return
    if parts.scheme not in ("http", "https") or not host:
        fields.wrong("url", "url must start with https:// or http:// and a host")
    elif "$" in parts.netloc:
        fields.wrong("url", "the host of a url can't hold a variable")
    elif parts.username is not None:
        hint = "headers: {Authorization: {env: NAME}}"
        fields.wrong("url", "a url must not hold a user name and password", hint)


def _check_names(fields: Fields, made: Webhook, variables: Mapping[str, Variable]) -> None:
    allowed = (*variables, *BUILT_IN)
    texts: list[tuple[str, str]] = [("url", made.url)] if isinstance(made.url, str) else []
    for key, mapping in (("query", made.query), ("form", made.form or {}), ("headers", made.headers)):
        texts += [(key, text) for text in _texts(mapping)]
    texts += [("json", text) for text in _strings(made.json)]
    for key, text in texts:
        for name in names_in(text):
            if name not in allowed:
                at = fields.entries[key].node
                message = f"there is no variable '{name}'"
                inside = join(fields.path, key)
                fields.reader.unknown("unknown_variable", message, name, inside, at, allowed)


def _texts(mapping: Mapping[str, Text]) -> Iterator[str]:
    return (text for text in mapping.values() if not isinstance(text, Secret))


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _strings(each)


PARSERS: Final[Mapping[str, Callable[[Fields], Target | None]]] = {
    "webhook": parse_webhook,
    "eventhub": parse_eventhub,
    "kafka": parse_kafka,
}

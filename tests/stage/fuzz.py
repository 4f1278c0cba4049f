"""Requests by chance from an OpenAPI document: some as it asks for them, most of them spoilt."""

from __future__ import annotations

import json
import string
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**63, -(2**64), 10**400, 1e308, "", " ", "\0", "ä", "\u2028", "a" * 3000),
    *(
        "../..",
        "%00",
        "{x}",
        "$ref",
        "NaN",
        "2024-02-30",
        "-0",
        "1e9",
        [],
        {},
        [[[]]],
        {"": None},
        ["a", 1, None],
    ),
)
NAMES = ("default", "fans", "nobody", "..", "-", "a b", "%", "ä", "x" * 300, "a:b", "1", "0", "email:a@b.c")
TYPES = ("application/json", "application/yaml", "text/plain", "x", "application/json; charset=utf-16", "")
DEPTH = 4


@dataclass(frozen=True)
class Request:
    """One request; the path is encoded."""

    method: str
    path: str
    template: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Made(NamedTuple):
    """A request, its operation's description, and which of its requests it is."""

    request: Request
    operation: Mapping[str, Any]
    number: int


class Requests:
    """Of the operations of one document."""

    def __init__(self, document: Mapping[str, Any], seed: int) -> None:
        self._document = document
        self._random = Random(seed)

    def of_each(self, count: int, slow: Collection[str], fewer: int) -> Iterator[Made]:
        """``count`` requests of each operation; ``fewer`` where its path ends like one of ``slow``."""
        for template, operations in self._document["paths"].items():
            is_slow = template.endswith(tuple(slow))
            for method, operation in operations.items():
                for number in range(fewer if is_slow or method == "delete" else count):
                    yield Made(self._request(template, method.upper(), operation), operation, number)

    def _request(self, template: str, method: str, operation: Mapping[str, Any]) -> Request:
        random, path, query = self._random, template, []
        headers: dict[str, str] = {}
        for each in operation.get("parameters", ()):
            name, where = each["name"], each["in"]
            if where == "path":
                path = path.replace(f"{{{name}}}", quote(random.choice(NAMES), safe=""))
            elif where == "header" and (each.get("required") or random.random() < 0.3):
                headers[name] = random.choice(
                    ('"1"', "*", "default", "default", "nobody", "", "x" * 300, '"', "W/")
                )
            elif where == "query" and random.random() < 0.3:
                query.append(f"{name}={quote(str(random.choice((*NAMES, *ODD[:9]))), safe='')}")
        if random.random() < 0.03:
            query.append("unknown=1")
        body = self._body(operation)
        if body is not None:
            kinds = list(operation["requestBody"]["content"])
            kind = random.choice(kinds if random.random() < 0.8 else TYPES)
            headers |= {"Content-Type": kind} if kind else {}
        return Request(method, path + ("?" + "&".join(query) if query else ""), template, headers, body)

    def _body(self, operation: Mapping[str, Any]) -> bytes | None:
        random = self._random
        if "requestBody" not in operation:
            return None
        if random.random() < 0.07:
            return random.choice(
                (b"", b"{", b"\xff\xfe", b"[" * 3000, b"null", b"{a: &x [*x]}", b'{"a": 1, "a": 2}')
            )
        (content, *_) = operation["requestBody"]["content"].values()
        made = self._value(content.get("schema", {}), DEPTH)
        if random.random() < 0.5:
            made = self._spoilt(made)
        text = json.dumps(made)
        return text.encode() if random.random() < 0.95 else text[: random.randrange(len(text) + 1)].encode()

    def _value(self, schema: Mapping[str, Any], depth: int) -> Any:
        random = self._random
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if "enum" in schema:
            return random.choice(schema["enum"])
        if "anyOf" in schema:
            return self._value(random.choice(schema["anyOf"]), depth)
        kind = schema.get("type")
        if depth == 0 or kind is None:
            return random.choice(ODD)
        if kind == "object":
            needed, more = schema.get("required", ()), schema.get("additionalProperties")
            found = {
                name: self._value(each, depth - 1)
                for name, each in schema.get("properties", {}).items()
                if name in needed or random.random() < 0.5
            }
            if isinstance(more, Mapping):
                found |= {
                    random.choice(NAMES): self._value(more, depth - 1) for _ in range(random.randrange(3))
                }
            return found
        if kind == "array":
            return [self._value(schema.get("items", {}), depth - 1) for _ in range(random.randrange(4))]
        if kind == "string":
            return random.choice((*NAMES, "".join(random.choices(string.printable, k=8))))
        return random.choice(
            {"integer": (0, 1, -5, 2**40), "number": (0, 0.5), "boolean": (True, False)}.get(kind, (None,))
        )

    def _spoilt(self, value: Any) -> Any:
        """With something odd in some place."""
        random = self._random
        if not value or not isinstance(value, dict | list) or random.random() < 0.25:
            return random.choice(ODD)
        if isinstance(value, list):
            at = random.randrange(len(value))
            return [*value[:at], self._spoilt(value[at]), *value[at + 1 :]]
        name = random.choice(list(value))
        if random.random() < 0.2:
            return {each: value[each] for each in value if each != name} | {f"{name}_": value[name]}
        return {**value, name: self._spoilt(value[name])}

"""Kafka records held against the document that ``turnstile topology --asyncapi`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator


class Contract:
    """Validates records of a message by its payload and headers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.messages: dict[str, Any] = document["components"]["messages"]

    def messages_of(self, topic: str) -> list[str]:
        return list(self.document["channels"][topic]["messages"])

    def why_not_payload(self, message: str, body: object) -> list[str]:
        """What is wrong with a body; nothing: it is as the contract says."""
        return self._errors(self.messages[message]["payload"], body)

    def why_not_headers(self, message: str, headers: Iterable[tuple[str, bytes | None]]) -> list[str]:
        texts = {name: (value or b"").decode() for name, value in headers}
        return self._errors(self.messages[message]["headers"], texts)

    def _errors(self, schema: Any, value: object) -> list[str]:
        found = Draft202012Validator({**schema, "components": self.document["components"]})
        return [f"{each.json_path}: {each.message}" for each in found.iter_errors(value)]


def body_of(value: bytes | None) -> object:
    return None if value is None else json.loads(value)

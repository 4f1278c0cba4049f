"""The values of a destination's definition: each kind of value, with a problem noted for what doesn't fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.deliver.definitions.destination import Json, Secret, Text
from agents.deliver.definitions.old_references import how_to_declare
from rules.parse.document import Entry, Node
from rules.parse.values import Reader, is_number, join
from rules.time.durations import parse_duration

SECRET_HINT = "a definition is published, so it only names the secret: {secret: NAME}, as in deliver.secrets"
REFUSED_NOW = "refused_now"
"""The code of problems that older versions took: a destination published then is shown as misconfigured."""
MAX_TIMEOUT_MS = 600_000
_SECRET_NAME = re.compile(r"auth|token|secret|passw|cookie|api.?key|credential|signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fields:
    """The entries of one map. Methods give the default for what isn't there, or is wrong and was noted."""

    reader: Reader
    entries: Mapping[str, Entry]
    path: str
    at: Node

    def wrong(self, key: str, message: str, hint: str = "") -> None:
        at = self.entries[key].node if key in self.entries else self.at
        self.reader.problem("wrong_value", message, join(self.path, key), at, hint)

    def refused_now(self, key: str, message: str, hint: str = "") -> None:
        """A problem that older versions didn't see."""
        at = self.entries[key].node if key in self.entries else self.at
        self.reader.problem(REFUSED_NOW, message, join(self.path, key), at, hint)

    def _node(self, key: str, required: str | None = None) -> Node | None:
        if key in self.entries:
            return self.entries[key].node
        if required is not None:
            self.reader.problem("missing_key", required, self.path, self.at)
        return None

    def text(self, key: str, required: str | None = None) -> str | None:
        node = self._node(key, required)
        return None if node is None else self.reader.text(node, join(self.path, key), key)

    def texts(self, key: str) -> tuple[str, ...]:
        node = self._node(key)
        if node is None:
            return ()
        inside = join(self.path, key)
        items = self.reader.items(node, inside, key) or ()
        found = [self.reader.text(item, join(inside, at), key) for at, item in enumerate(items)]
        return tuple(each for each in found if each is not None)

    def choice(
        self, key: str, allowed: Sequence[str], default: str | None, required: str | None = None
    ) -> str | None:
        value = self.text(key, required)
        if value is None:
            return default
        if value not in allowed:
            node, inside = self.entries[key].node, join(self.path, key)
            self.reader.unknown("wrong_value", f"unknown {key} '{value}'", value, inside, node, allowed)
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        node = self._node(key)
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        self.reader.wrong_type(node, join(self.path, key), key, "true or false")
        return default

    def number(self, key: str, default: float | None, low: float, high: float) -> float | None:
        node = self._node(key)
        if node is None:
            return default
        if not is_number(node) or not low <= node.value <= high:  # type: ignore[operator]
            self.wrong(key, f"{key} must be a number from {low:g} to {high:g}")
            return default
        return float(node.value)  # type: ignore[arg-type]

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        node = self._node(key)
        if node is None:
            return default
        value = node.value
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.wrong(key, f"{key} must be a whole number from {low} to {high}")
            return default
        return value

    def duration(self, key: str, default_ms: int) -> int:
        """Milliseconds of ``10s``, ``3d``."""
        node = self._node(key)
        if node is None:
            return default_ms
        text = self.reader.text(node, join(self.path, key), key)
        try:
            return default_ms if text is None else parse_duration(text)
        except ValueError as error:
            self.wrong(key, f"{key}: {error}")
            return default_ms

    def timeout(self, default_ms: int) -> int:
        """Milliseconds of ``timeout``."""
        timeout_ms = self.duration("timeout", default_ms)
        if timeout_ms > MAX_TIMEOUT_MS:
            self.wrong("timeout", "timeout must be at most 10m")
        return timeout_ms

    def secret(self, key: str, required: str | None = None) -> Secret | None:
        """Only a reference: a secret itself must not stand in a definition."""
        node = self._node(key, required)
        if node is None:
            return None
        if not isinstance(node.value, Mapping):
            self.wrong(key, f"{key} is a secret, which must not be written down here", SECRET_HINT)
            return None
        return _reference(self.reader, node.value, join(self.path, key), node)

    def secret_or_text(self, key: str, required: str | None = None) -> Text | None:
        node = self._node(key, required)
        if node is None:
            return None
        if isinstance(node.value, Mapping):
            return _reference(self.reader, node.value, join(self.path, key), node)
        return self.reader.text(node, join(self.path, key), key)

    def text_map(self, key: str) -> dict[str, Text]:
        """Names to texts or references; numbers and true or false are taken as text."""
        node = self._node(key)
        inside = join(self.path, key)
        entries = self.reader.entries(node, inside, key) if node is not None else None
        found: dict[str, Text] = {}
        for name, entry in (entries or {}).items():
            value = entry.node.value
            at = join(inside, name)
            if isinstance(value, Mapping):
                secret = _reference(self.reader, value, at, entry.node)
                if secret is not None:
                    found[name] = secret
            elif _SECRET_NAME.search(name) and isinstance(value, str) and "${" not in value:
                message = f"{name} looks like a secret, which must not be written down here"
                self.reader.problem("wrong_value", message, at, entry.node, SECRET_HINT)
            elif isinstance(value, bool):
                found[name] = "true" if value else "false"
            elif isinstance(value, str | int | float):
                found[name] = str(value)
            else:
                expected = "text, a number or {secret: NAME}"
                self.reader.wrong_type(entry.node, at, name, expected)
        return found

    def plain_map(self, key: str) -> dict[str, str]:
        """Names to texts."""
        node = self._node(key)
        inside = join(self.path, key)
        entries = self.reader.entries(node, inside, key) if node is not None else None
        found = {
            name: self.reader.text(entry.node, join(inside, name), name)
            for name, entry in (entries or {}).items()
        }
        return {name: text for name, text in found.items() if text is not None}


def _reference(reader: Reader, entries: Mapping[str, Entry], path: str, at: Node) -> Secret | None:
    if len(entries) == 1 and ("env" in entries or "file" in entries):
        ((source, entry),) = entries.items()
        name = reader.text(entry.node, join(path, source), source)
        if name is None:
            return None
        secret = Secret(name, source)  # type: ignore[arg-type]
        reader.problem(REFUSED_NOW, how_to_declare(secret), path, at)
        return secret
    reader.keys(entries, path, ("secret",))
    if "secret" not in entries:
        reader.problem("wrong_value", "a secret is {secret: NAME}", path, at, SECRET_HINT)
        return None
    name = reader.text(entries["secret"].node, join(path, "secret"), "secret")
    return Secret(name) if name else None


def plain(node: Node) -> Json:
    """A tree without its positions; lists as tuples."""
    value = node.value
    if isinstance(value, Mapping):
        return {key: plain(entry.node) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return value

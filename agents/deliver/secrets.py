"""Secrets: found where a definition says, and taken out of every text that is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from agents.deliver.destination import Secret, Text
from agents.deliver.errors import SinkMisconfigured

MASK = "********"
_SHORTEST = 4
"""Shorter values aren't masked: they would take out half of every text, and guard nothing."""


class Secrets:
    """Looks secrets up at the time of use, so that a rotated one is found, and remembers them for masking."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._seen: set[str] = set()

    def get(self, secret: Secret) -> str:
        """The value. Raises SinkMisconfigured where there is none."""
        if secret.source == "env":
            value = self._environ.get(secret.name, "")
            if not value:
                raise SinkMisconfigured(f"the environment variable {secret.name} (a secret) isn't set")
        else:
            try:
                value = Path(secret.name).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8"
                raise SinkMisconfigured(
                    f"the file {secret.name} (a secret) can't be read: {reason}"
                ) from None
            if not value:
                raise SinkMisconfigured(f"the file {secret.name} (a secret) is empty")
        self.hide(value)
        return value

    def text(self, text: Text) -> str:
        """A text, looked up where it is a secret. Raises SinkMisconfigured."""
        return self.get(text) if isinstance(text, Secret) else text

    def hide(self, value: str) -> None:
        """Mask this, too: what was made of a secret, such as the key inside of a connection string."""
        if len(value) >= _SHORTEST:
            self._seen |= {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}

    def masked(self, text: str) -> str:
        """``text`` without any secret that was looked up so far."""
        for value in sorted(self._seen, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def masked_all(self, value: object) -> object:
        """JSON-able data with every text in it masked."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, Mapping):
            return {self.masked(str(key)): self.masked_all(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked_all(each) for each in value]
        return value

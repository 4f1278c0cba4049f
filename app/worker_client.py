"""Asking a worker over HTTP, from the command line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from app.failures import CommandFailed

TIMEOUT_SECONDS = 10.0


class NotFound(CommandFailed):
    """The worker knows no such user or audience."""


@dataclass(frozen=True, slots=True)
class WorkerClient:
    """A worker's base URL, the API key for it (None: none is sent), and the project that is asked about."""

    url: str
    key: str | None
    project: str

    def get(self, *path: str) -> Any:
        """The JSON at ``/v1/<path>``; parts may hold any character.

        Raises NotFound, and CommandFailed with what the worker says, or why it can't be asked.
        """
        if not self.url.startswith(("http://", "https://")):
            raise CommandFailed(f"a worker's URL (--url) is http://host:port, not {self.url!r}")
        parts = "/".join([quote(part, safe="") for part in path])
        query = urlencode({"project": self.project})
        try:
            request = urllib.request.Request(f"{self.url.rstrip('/')}/v1/{parts}?{query}")
            if self.key is not None:
                request.add_header("api-key", self.key)
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise CommandFailed(f"no worker answers at {self.url} (--url): {reason}") from None

    def _refused(self, error: urllib.error.HTTPError) -> CommandFailed:
        """What a problem+json says, for people."""
        try:
            problem = json.load(error)
            text = str(problem["detail"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return CommandFailed(f"{self.url} (--url) answers with status {error.code}; is it a worker's?")
        if "hint" in problem:
            text += f"; {problem['hint']}"
        if error.code == 401:
            text += " (--key)"
        return NotFound(text) if error.code == 404 else CommandFailed(text)

"""Asking a worker over HTTP, from the command line."""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from app.failures import CommandFailed

TIMEOUT_SECONDS = 10.0
WAIT_SECONDS = 60.0
"""So long partitions may be on the move before a listing gives up."""
PAUSE_SECONDS = 0.5


NAMES_USER = ("users", "members")
"""What a user id follows in a path."""
INSTEAD = "-"
"""In the path, for a user that the query names (``app.worker.http``)."""
_KEY = re.compile("[!-~]+")
NO_QUERY: Mapping[str, str] = MappingProxyType({})


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the API key along to wherever it points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=ca_file)
    # Without the proxies of the environment: over plain HTTP they would read the API key.
    no_proxies = urllib.request.ProxyHandler({})
    return urllib.request.build_opener(no_proxies, _NoRedirects, urllib.request.HTTPSHandler(context=context))


class NotFound(CommandFailed):
    """The worker knows no such user or audience."""


class NotNow(CommandFailed):
    """The worker can't answer now: partitions are being moved or restored."""


class NotReady(CommandFailed):
    """The audience is still being computed."""


@dataclass(frozen=True, slots=True)
class WorkerClient:
    """A worker's base URL, the API key for it (None: none is sent), and the project that is asked about.

    ``ca_file`` vouches for an https URL; None: the system's authorities do.
    """

    url: str
    key: str | None
    project: str
    ca_file: Path | None = None

    def delete(self, *path: str, query: Mapping[str, str] = NO_QUERY) -> Any:
        """What the worker answers when that is deleted; otherwise as ``get``."""
        return self.get(*path, query=query, method="DELETE")

    def get(self, *path: str, query: Mapping[str, str] = NO_QUERY, method: str = "GET") -> Any:
        """The JSON at ``/v1/<path>``; parts may hold any character, but none may be empty.

        ``query``: parameters besides the project. Raises NotFound, NotReady, NotNow, and CommandFailed with
        what the worker says, or why it can't be asked.
        """
        if not self.url.startswith(("http://", "https://")):
            raise CommandFailed(f"a worker's URL (--url) is http://host:port, not {self.url!r}")
        if not all(path):
            raise CommandFailed("an id can't be empty")
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise CommandFailed("the API key (--key) isn't one: it must be printable ASCII without spaces")
        try:
            target = self._target(path, query)
            request = urllib.request.Request(f"{self.url.rstrip('/')}/v1/{target}", method=method)
            if self.key is not None:
                request.add_header("api-key", self.key)
            with _opener(self.ca_file).open(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, ssl.SSLCertVerificationError):
                reason = f"{reason}; http.tls_ca_file names the certificates that vouch for it"
            raise CommandFailed(
                f"no worker answers at {self.url} (--url or deliver.lookup_url): {reason}"
            ) from None

    def patiently(self, *path: str, query: Mapping[str, str] = NO_QUERY, method: str = "GET") -> Any:
        """The same, asked again while partitions move: a long listing would hardly ever come to its end."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self.get(*path, query=query, method=method)
            except NotNow:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _target(self, path: Sequence[str], more: Mapping[str, str]) -> str:
        """Path and query. A user id of dots goes into the query: proxies take it for a step in the path."""
        query, parts = {"project": self.project, **more}, []
        for before, part in zip(("", *path), path, strict=False):
            if before in NAMES_USER and not part.strip("."):
                query["user_id"], part = part, INSTEAD
            parts.append(quote(part, safe="", errors="surrogatepass"))
        return f"{'/'.join(parts)}?{urlencode(query, errors='surrogatepass')}"

    def _refused(self, error: urllib.error.HTTPError) -> CommandFailed:
        """What a problem+json says, for people."""
        try:
            problem = json.load(error)
            text = str(problem["detail"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return CommandFailed(f"{self.url} answers with status {error.code}; is this a worker's address?")
        if "hint" in problem:
            text += f"; {problem['hint']}"
        if error.code in (401, 403):
            text += " (--key or deliver.lookup_key)"
        if error.code == 503:
            return NotNow(text)
        if error.code == 409:
            return NotReady(text)
        return NotFound(text) if error.code == 404 else CommandFailed(text)

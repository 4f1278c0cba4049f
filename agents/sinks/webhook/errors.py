"""What the HTTP client's exceptions mean for a delivery."""

from __future__ import annotations

from typing import Final

import aiohttp

from agents.deliver.contract.outcomes import Rejected, Retry, Unknown
from agents.deliver.errors import SinkMisconfigured
from agents.sinks.addresses.guard import AddressNotAllowed, is_refusal

PAUSE_S: Final = 60.0
"""After what needs a change: of an address, of a secret."""
_NO_URL: Final = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)


def outcome_of(error: aiohttp.ClientError | OSError, timeout_ms: int) -> Rejected | Retry | Unknown:
    """Of an exception of the client's, secrets not masked.

    Rejected for good: what it raises before a byte is sent and because of the message alone. ``ValueError``
    is not among them: ``agents.sinks.webhook.requests`` refuses each such message before, so another one is a
    bug.
    """
    if isinstance(error, _NO_URL):
        return Rejected("invalid_url", f"not an address: {error}")
    if isinstance(error, AddressNotAllowed):
        return _not_allowed(str(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        text = str(error.os_error)
        # Of a name with several addresses the client gives one error with the texts of all.
        if isinstance(error.os_error, AddressNotAllowed) or is_refusal(text):
            return _not_allowed(text)
        return Retry("unreachable", f"no connection: {text}", whole=True)
    if isinstance(error, TimeoutError):
        return Unknown("timeout", f"no answer within {timeout_ms} ms")
    return Unknown("connection_broken", f"the connection broke: {error!r}")


def misconfigured(error: SinkMisconfigured) -> Retry:
    """For deliveries that came while a secret couldn't be looked up."""
    return Retry("misconfigured", str(error), PAUSE_S, whole=True, needs_change=True)


def _not_allowed(text: str) -> Retry:
    # Not refused: a name that points elsewhere for an hour must not empty the queue into the dead letters.
    return Retry("address_not_allowed", text, PAUSE_S, whole=True)

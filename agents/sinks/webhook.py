"""Webhooks: one HTTP request a delivery, or a batch of them (aiohttp).

2xx: taken. 408, 425, 429, 5xx, timeouts and broken connections: again, as long as the retry policy says.
All other answers, redirects too, refuse it for good. A request that was sent and not answered may have been
taken: outcome unknown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import aiohttp
from yarl import URL

from agents.deliver.destination import Destination, Webhook
from agents.deliver.sink import (
    DELIVERED,
    Delivery,
    Lanes,
    Outcome,
    Refused,
    Retry,
    SinkContext,
    Unknown,
)
from agents.sinks.address_guard import AddressNotAllowed, guarded_socket
from agents.sinks.requests import Request, RequestMaker, shown

AGAIN: Final = frozenset({408, 425, 429})
ANSWER_CHARACTERS: Final = 500
"""Of an answer's body that are kept as the reason."""
ANSWER_BYTES: Final = 64 * 1024
"""Of an answer's body that are read; the connection of a longer one is given up."""
LONGEST_RETRY_AFTER_S: Final = 86_400.0
NOT_ALLOWED_PAUSE_S: Final = 60.0


class WebhookSink:
    """One webhook. ``concurrency`` lanes, each with one request at a time."""

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        assert isinstance(destination.target, Webhook)
        self._webhook = destination.target
        self._context = context
        self._session: aiohttp.ClientSession | None = None
        self._maker: RequestMaker

    async def open(self) -> Lanes:
        self._maker = RequestMaker(self._webhook, self._context.secrets)
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._webhook.concurrency,
                keepalive_timeout=30,
                socket_factory=None if self._context.allow_private else guarded_socket,
            )
            timeout = aiohttp.ClientTimeout(total=self._webhook.timeout_ms / 1000)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return Lanes(self._webhook.concurrency, self._webhook.batch)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        request = self._maker.request(batch)
        outcome, answer = await self._exchange(request)
        if self._context.trace is not None:
            self._context.trace({"request": shown(request), "answer": answer})
        return [outcome] * len(batch)

    async def _exchange(self, request: Request) -> tuple[Outcome, dict[str, object]]:
        assert self._session is not None
        started = time.monotonic()
        try:
            url = _url(request.url)
        except ValueError as error:  # filled in from data: it will be no better next time
            refused = Refused("invalid_url", f"not an address: {error}")
            return refused, {"error": f"{refused.code}: {refused.reason}"}
        try:
            async with self._session.request(
                request.method,
                url,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as answer:
                if 200 <= answer.status < 300 and self._context.trace is None and answer.content.at_eof():
                    return DELIVERED, {}
                body = await answer.content.read(ANSWER_BYTES)
                while len(body) < ANSWER_BYTES and not answer.content.at_eof():
                    body += await answer.content.read(ANSWER_BYTES - len(body))
                text = body[:ANSWER_CHARACTERS].decode("utf-8", "replace")
                outcome = judge(answer.status, answer.headers, text)
                return outcome, {
                    "status": answer.status,
                    "headers": dict(answer.headers),
                    "body": body.decode("utf-8", "replace"),
                    "seconds": round(time.monotonic() - started, 3),
                }
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressNotAllowed) or isinstance(error, AddressNotAllowed):
                outcome = _not_allowed(error)
            else:
                outcome = Retry("unreachable", f"no connection: {error.os_error}", whole=True)
        except AddressNotAllowed as error:
            outcome = _not_allowed(error)
        except TimeoutError:
            outcome = Unknown("timeout", f"no answer within {self._webhook.timeout_ms} ms")
        except aiohttp.InvalidURL as error:
            outcome = Refused("invalid_url", f"not an address: {error}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome = Unknown("connection_broken", f"the connection broke: {error!r}")
        return outcome, {"error": f"{outcome.code}: {outcome.reason}"}


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    """Parsed once: most webhooks have one address."""
    return URL(text, encoded="%" in text)


def judge(status: int, headers: object, body: str) -> Outcome:
    """What an answer means."""
    if 200 <= status < 300:
        return DELIVERED
    code, reason = f"http_{status}", f"the receiver answered {status}: {body}"
    if status in AGAIN or status >= 500:
        after = retry_after_s(headers.get("Retry-After"), time.time())  # type: ignore[attr-defined]
        return Retry(code, reason, after, whole=after is not None or status == 429)
    if 300 <= status < 400:
        where = headers.get("Location", "nowhere")  # type: ignore[attr-defined]
        return Refused(code, f"redirects are not followed: {status} to {where}")
    return Refused(code, reason)


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds of a ``Retry-After``: a number or an HTTP date; at most a day. None: none, or not readable."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now_s
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _not_allowed(error: Exception) -> Retry:
    # Not refused: a name that points elsewhere for an hour must not empty the queue into the dead letters.
    text = str(getattr(error, "os_error", error))
    return Retry("address_not_allowed", text, NOT_ALLOWED_PAUSE_S, whole=True)

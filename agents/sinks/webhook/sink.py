"""Webhooks: one HTTP request a delivery, or a batch of them (aiohttp).

2xx: taken. 408, 425, 429, 5xx, timeouts and broken connections: again, as long as the retry policy says.
All other answers, redirects too, refuse it for good. A request that was sent and not answered may have been
taken: outcome unknown. What can't be sent at all is refused before (``agents.sinks.webhook.requests``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import aiohttp
from yarl import URL

from agents.deliver.content.grouping import is_merged, is_shared
from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import DELIVERED, Outcome, Rejected, Retry
from agents.deliver.contract.sink import Lanes, SinkContext
from agents.deliver.definitions.destination import Destination, Webhook
from agents.deliver.errors import SinkMisconfigured
from agents.sinks.addresses.guard import guarded_sockets
from agents.sinks.webhook.errors import misconfigured, outcome_of
from agents.sinks.webhook.parts import Parts
from agents.sinks.webhook.requests import Request, RequestMaker, shown

AGAIN: Final = frozenset({408, 425, 429})
ANSWER_CHARACTERS: Final = 500
"""Of an answer's body that are kept as the reason."""
ANSWER_BYTES: Final = 64 * 1024
"""Of an answer's body that are read; the connection of a longer one is given up."""
SHOWN_BYTES: Final = 16 * 1024
"""Of an answer's body that a test send shows; some texts take seconds to mask for each 64 KiB."""
LONGEST_RETRY_AFTER_S: Final = 86_400.0
UNAUTHORIZED: Final = frozenset({"http_401", "http_403"})
MOST_TIMEOUTS: Final = 2
"""A batch that goes in several requests lasts as long as so many timeouts; what is left then goes again."""


class WebhookSink:
    """One webhook. ``concurrency`` lanes, each with one request at a time."""

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        assert isinstance(destination.target, Webhook)
        self._webhook = destination.target
        self._context = context
        self._is_merged = is_merged(destination)
        self._session: aiohttp.ClientSession | None = None
        self._maker: RequestMaker

    async def open(self) -> Lanes:
        self._maker = RequestMaker(self._webhook, self._context.secrets)
        if self._is_merged and not all(is_shared(x, self._webhook.variables) for x in self._maker.url_names):
            raise SinkMisconfigured("webhook.url names a single transition, but a lytics body holds several")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._webhook.concurrency,
                keepalive_timeout=30,
                socket_factory=guarded_sockets(self._context.allow_private),
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
        try:
            self._look_up_again()
        except SinkMisconfigured as error:
            return [misconfigured(error)] * len(batch)
        maker = self._maker
        parts = Parts(maker, batch)
        deadline_s = time.monotonic() + MOST_TIMEOUTS * self._webhook.timeout_ms / 1000
        for head, together, bodies in parts:
            if time.monotonic() > deadline_s:
                parts.stop(Retry("behind", "other messages of its batch took too long"))
                break
            request = maker.request(head, together, bodies)
            outcome, answer = await self._exchange(request)
            if isinstance(outcome, Rejected) and outcome.code in UNAUTHORIZED and not maker.is_current:
                outcome = Retry(
                    "secret_changed", f"a secret was replaced in the meantime: {outcome.reason}", 0.0
                )
            if self._context.trace is not None:
                self._context.trace({"request": shown(request), "answer": answer})
            parts.sent(together, outcome)
        return parts.outcomes()

    async def probe(self) -> tuple[int | None, Outcome]:
        """Ask the receiver without sending anything: its answer's status, and what a message would have come
        to. Needs a ``trace``."""
        outcome, answer = await self._exchange(self._maker.probe())
        status = answer.get("status")
        return (status if isinstance(status, int) else None), outcome

    def _look_up_again(self) -> None:
        """Take up secrets whose files have changed. Raises SinkMisconfigured."""
        if not self._maker.is_current:
            self._maker = RequestMaker(self._webhook, self._context.secrets)

    async def _exchange(self, request: Request) -> tuple[Outcome, dict[str, object]]:
        assert self._session is not None
        started = time.monotonic()
        try:
            async with self._session.request(
                request.method,
                _url(request.url),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as answer:
                if 200 <= answer.status < 300 and self._context.trace is None and answer.content.at_eof():
                    return DELIVERED, {}
                body = await answer.content.read(ANSWER_BYTES)
                while len(body) < ANSWER_BYTES and not answer.content.at_eof():
                    body += await answer.content.read(ANSWER_BYTES - len(body))
                # Masked before it is cut: half a secret would not be found.
                text = body[: ANSWER_CHARACTERS * 2].decode("utf-8", "replace")
                text = self._context.secrets.masked(text, cut=True)[:ANSWER_CHARACTERS]
                outcome = judge(answer.status, answer.headers, text)
                if self._context.trace is None:
                    return outcome, {}
                whole = body[:SHOWN_BYTES].decode("utf-8", "replace")
                is_cut = len(body) > SHOWN_BYTES
                return outcome, {
                    "status": answer.status,
                    "headers": dict(answer.headers),
                    "body": await asyncio.to_thread(self._context.secrets.masked, whole, is_cut),
                    "seconds": round(time.monotonic() - started, 3),
                }
        except (aiohttp.ClientError, OSError) as error:
            failed = outcome_of(error, self._webhook.timeout_ms)
            return failed, {"error": f"{failed.code}: {failed.reason}"}


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    """Parsed once: most webhooks have one address."""
    return URL(text, encoded=True)


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
        return Rejected(code, f"redirects are not followed: {status} to {where}")
    return Rejected(code, reason)


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
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)

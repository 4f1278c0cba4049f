"""Lookups of users that another worker has: the answer is fetched from it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from app.http.api_keys import KeyRing
from app.http.problems import HttpProblem
from app.http.tls import Trust

FORWARDED = "x-turnstile-forwarded"
"""Marks a request from another worker, which is answered here or not at all. It opens nothing."""
FORWARD_SECONDS = 5.0
KEY_HEADERS = ("api-key", "Authorization")
"""Where a key may be; the first that is there counts."""
ANSWER_HEADERS = ("Retry-After", "WWW-Authenticate")
RESERVED = "%!$&'()*+,/:;=?@[]-._~"
"""What a request's target holds unquoted (RFC 3986)."""


class Forwarding:
    """``owner_of`` says a user's partition, and the URL of the worker that has it; None: not known now."""

    def __init__(
        self, owner_of: Callable[[str], tuple[int, str | None]], own_url: str, keys: KeyRing, trust: Trust
    ) -> None:
        self._owner_of = owner_of
        self._own_url = own_url.rstrip("/")
        self._keys = keys
        self._trust = trust
        self._session: ClientSession | None = None

    async def start(self) -> None:
        self._session = ClientSession(timeout=ClientTimeout(total=FORWARD_SECONDS))

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, request: web.Request, user_id: str) -> web.Response:
        """What the owner answers. Raises HttpProblem while the user has none, or it doesn't answer."""
        partition, url = self._owner_of(user_id)
        if url is None or url.rstrip("/") == self._own_url or FORWARDED in request.headers:
            raise HttpProblem(503, "Not available now", f"partition {partition} is being moved or restored")
        headers = {FORWARDED: "1"}
        if self._keys.asks:  # the owner asks, too; where nobody does, a header might be anything
            used = next(name for name in KEY_HEADERS if name in request.headers)
            headers[used] = request.headers[used]
        assert self._session is not None
        try:
            async with self._session.get(
                URL(url.rstrip("/") + _target(request), encoded=True),
                headers=headers,
                allow_redirects=False,
                ssl=self._trust(),
            ) as answer:
                body = await answer.read()
                forwarded = web.Response(
                    body=body, status=answer.status, content_type=answer.content_type, charset="utf-8"
                )
                for name in ANSWER_HEADERS:
                    if name in answer.headers:
                        forwarded.headers[name] = answer.headers[name]
                return forwarded
        except (ClientError, TimeoutError, ValueError) as error:
            detail = f"the owner at {url} does not answer: {error!r}"
            raise HttpProblem(503, "Not available now", detail) from None


def _target(request: web.Request) -> str:
    """Path and query as they came, for the owner: nothing may be resolved or decoded on the way."""
    return quote(request.rel_url.raw_path_qs, safe=RESERVED)

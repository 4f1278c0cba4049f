"""What another process has is fetched from it: lookups of users, pages and sizes of partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from app.http.api_keys import KeyRing
from app.http.problems import HttpProblem
from app.http.silence import Silence
from app.http.tls import Trust

FORWARDED = "x-turnstile-forwarded"
"""Marks a request from another process, which is answered here or not at all. It opens nothing."""
FORWARD_SECONDS = 5.0
KEPT_SECONDS = 60.0
"""How long a connection waits for the next request; shorter than the other side waits (``IDLE_SECONDS``)."""
KEY_HEADERS = ("api-key", "Authorization")
"""Where a key may be; the first that is there counts."""
ANSWER_HEADERS = ("Retry-After", "WWW-Authenticate")
RESERVED = "%!$&'()*+,/:;=?@[]-._~"
"""What a request's target holds unquoted (RFC 3986)."""


class Forwarding:
    """Connections to other processes, which stay open for the next request.

    ``url_of`` says the URL of the worker that has a partition; None: not known now. ``seconds``: so long an
    answer may take. With ``silence`` who was silent lately is not waited for.
    """

    def __init__(
        self,
        url_of: Callable[[int], str | None],
        own_url: str,
        keys: KeyRing,
        trust: Trust,
        seconds: float = FORWARD_SECONDS,
        silence: Silence | None = None,
    ) -> None:
        self._url_of = url_of
        self._seconds = seconds
        self._silence = silence
        self._own_url = own_url.rstrip("/")
        self._keys = keys
        self._trust = trust
        self._session: ClientSession | None = None

    async def start(self) -> None:
        connector = TCPConnector(keepalive_timeout=KEPT_SECONDS)
        self._session = ClientSession(timeout=ClientTimeout(total=self._seconds), connector=connector)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    def other(self, request: web.Request, partition: int) -> str | None:
        """The URL of the other worker that has a partition, if it may be asked for this request."""
        return None if FORWARDED in request.headers else self.url_of(partition)

    def url_of(self, partition: int) -> str | None:
        """The URL of the other worker that has a partition; None: not known now, or it is this one."""
        url = self._url_of(partition)
        if url is None or url.rstrip("/") == self._own_url:
            return None
        return url.rstrip("/")

    def credentials(self, request: web.Request) -> Mapping[str, str] | None:
        """The headers by which others let the caller in; None: the request may not go any further."""
        if FORWARDED in request.headers:
            return None
        headers = {FORWARDED: "1"}
        if self._keys.asks:  # the owner asks, too; where nobody does, a header might be anything
            used = next(name for name in KEY_HEADERS if name in request.headers)
            headers[used] = request.headers[used]
        return headers

    async def fetch(self, request: web.Request, partition: int, target: str | None = None) -> web.Response:
        """What the owner of a partition answers. Raises HttpProblem while there is none, or it doesn't
        answer.

        ``target``: path and query, encoded; None: as they came.
        """
        url = self.other(request, partition)
        if url is None:
            raise moved([partition])
        answer = await self.get(request, url, target or _target(request))
        forwarded = web.Response(
            body=answer.body, status=answer.status, content_type=answer.content_type, charset="utf-8"
        )
        for name in ANSWER_HEADERS:
            if name in answer.headers:
                forwarded.headers[name] = answer.headers[name]
        return forwarded

    async def get(self, request: web.Request, url: str, target: str) -> Fetched:
        """What another worker answers to its caller's key. Raises HttpProblem when it doesn't answer.

        ``target``: path and query, encoded.
        """
        return await self.send(url + target, self.credentials(request) or {})

    async def send(self, url: str, credentials: Mapping[str, str], json: bytes | None = None) -> Fetched:
        """What another process answers to ``GET``, or to ``POST`` with a body. Raises HttpProblem when it
        doesn't answer.

        ``url``: with path and query, encoded.
        """
        assert self._session is not None
        origin = "/".join(url.split("/", 3)[:3])
        if self._silence is not None and not self._silence.may_ask(origin):
            raise HttpProblem(503, "Not available now", f"the owner at {origin} did not answer just now")
        headers = dict(credentials)
        if json is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                "GET" if json is None else "POST",
                URL(url, encoded=True),
                headers=headers,
                data=json,
                allow_redirects=False,
                ssl=self._trust(),
            ) as answer:
                body = await answer.read()
                if self._silence is not None:
                    self._silence.heard(origin)
                return Fetched(answer.status, answer.content_type, answer.headers, body)
        except (ClientError, TimeoutError, ValueError) as error:
            if self._silence is not None:
                self._silence.note(origin)
            detail = f"the owner at {origin} does not answer: {error!r}"
            raise HttpProblem(503, "Not available now", detail) from None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What another process answered."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes


def moved(partitions: Sequence[int]) -> HttpProblem:
    """The problem that these partitions can't be asked now."""
    are = "partition {} is" if len(partitions) == 1 else "partitions {} are"
    named = ", ".join(map(str, partitions))
    return HttpProblem(503, "Not available now", f"{are.format(named)} being moved or restored")


def _target(request: web.Request) -> str:
    """Path and query as they came, for the owner: nothing may be resolved or decoded on the way."""
    return quote(request.rel_url.raw_path_qs, safe=RESERVED)

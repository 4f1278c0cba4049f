"""What is done around a request that is answered at once: the same as around others (``app.http.base``).

Whatever is wrong with a request, or with who sent it, is left to the way that all requests can go. So there
is one place for each refusal, and its text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp.http import SERVER_SOFTWARE

from app.http.api_keys import KeyRing
from app.http.guard import check_host, check_origin
from app.http.plain import PlainRequest
from app.http.problems import HttpProblem
from app.http.rate_limits import RateLimits
from app.http.routes import Route

_VARIABLE: Final = re.compile(r"\{(\w+):\[\^/\]\+\}")
_AS_IT_IS: Final = r"[A-Za-z0-9_.~@:-]"
_ENCODED: Final = r"%(?:[2-7][0-9A-F]|[89A-F][0-9A-F])"

_ODD: Final = re.compile(r"%|/\.")


@dataclass(frozen=True, slots=True)
class _Way:
    """A route, and which paths are its own."""

    path: re.Pattern[str]
    route: Route


def _ways(routes: Sequence[Route]) -> dict[str, list[_Way]]:
    """By method."""
    found: dict[str, list[_Way]] = {}
    for route in routes:
        if route.at_once is not None:
            pattern = _VARIABLE.sub(rf"(?P<\1>(?:{_AS_IT_IS}|{_ENCODED})+)", route.path)
            found.setdefault(route.method, []).append(_Way(re.compile(pattern, re.ASCII), route))
    return found


class AnswersOfRoutes:
    """Answers by the routes that can do so at once."""

    def __init__(
        self,
        routes: Sequence[Route],
        keys: KeyRing,
        limits: RateLimits | None,
        headers: Mapping[str, str],
        answered: Callable[[str, int, float], None] | None,
    ) -> None:
        """``headers``: of every answer. ``answered`` gets route, status and seconds of each."""
        self._ways = _ways(routes)
        self._keys = keys
        self._limits = limits
        self._answered = answered
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        start = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        self._start = (start + "".join(lines)).encode()
        self._second = 0
        self._end = b""

    def answer(self, request: PlainRequest) -> bytes | None:
        """The whole answer; None: it takes the way that all requests can go."""
        started = time.perf_counter()
        for way in self._ways.get(request.method, ()):
            match = way.path.fullmatch(request.path)
            if match is not None:
                break
        else:
            return None
        try:
            return self._of(request, way.route, match.groupdict(), started)
        except Exception:
            # A problem is told there, and a fault of ours is met there again, and logged.
            return None

    def _of(
        self, request: PlainRequest, route: Route, parts: Mapping[str, str], started: float
    ) -> bytes | None:
        """Raises HttpProblem, and whatever a handler raises."""
        assert route.scope is not None
        assert route.at_once is not None
        if not self._keys.asks:
            check_host(request.path, request.headers)
        check_origin(request.method, request.headers)
        caller = self._keys.caller(request.headers)
        caller.require(route.scope, *route.also)
        body = route.at_once(request, caller, _decoded(parts) if _ODD.search(request.path) else parts)
        if body is None:
            return None
        fields = b""
        if self._limits is not None:
            self._limits.take(caller)
            lines = [f"{name}: {value}\r\n" for name, value in self._limits.headers(caller).items()]
            fields = "".join(lines).encode()
        answer = b"%b%bContent-Length: %d\r\n%b%b" % (self._start, fields, len(body), self._last(), body)
        if self._answered is not None:
            self._answered(route.path, 200, time.perf_counter() - started)
        return answer

    def _last(self) -> bytes:
        """The last fields, which are other ones each second."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._end = f"Date: {formatdate(now, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n".encode()
        return self._end


def _decoded(parts: Mapping[str, str]) -> Mapping[str, str]:
    """Raises HttpProblem for what other readers of paths might understand otherwise."""
    found: dict[str, str] = {}
    for name, part in parts.items():
        try:
            found[name] = text = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise HttpProblem(400, "Bad request", "the path isn't UTF-8") from None
        if not text.isprintable() or "/" in text or "%" in text or text in (".", ".."):
            raise HttpProblem(400, "Bad request", "the path isn't plain")
    return found

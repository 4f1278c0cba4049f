"""Plain requests: those of which every reader of HTTP knows where they end and what they say.

Nothing here is lenient. What is not plain is no mistake: aiohttp reads it, and answers it or refuses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from multidict import CIMultiDict

MOST_HEAD_BYTES: Final = 8 * 1024
MOST_BODY_BYTES: Final = 256 * 1024
"""A thousand users with ids of two hundred characters."""
END: Final = b"\r\n\r\n"

_LINE: Final = re.compile(rb'(GET|POST) (/[!"$->@-~]*+)(?:\?([!"$-~]*+))? HTTP/1\.1')
_FIELDS: Final = re.compile(rb"(?:[A-Za-z0-9-]++:[\t -~]*+\r\n)*+")
_LENGTH: Final = re.compile(r"[0-9]{1,7}", re.ASCII)
_UNUSUAL: Final = frozenset(
    ("transfer-encoding", "upgrade", "expect", "te", "trailer", "content-encoding", "proxy-connection")
)
"""Fields that may say where a request ends, or that something else comes before or after it."""


class Fields(NamedTuple):
    """The fields of a head, and how long the body is that follows."""

    headers: CIMultiDict[str]
    body_bytes: int


class PlainRequest(NamedTuple):
    """A whole request. ``path`` and ``query`` are as they came, in visible ASCII."""

    method: str
    path: str
    query: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lacking:
    """The body isn't all here: the request ends at this place."""

    end: int


Read: TypeAlias = tuple[PlainRequest, int] | Lacking | None
"""A request with the place where it ends; None: what comes is not plain."""


def fields_of(lines: bytes) -> Fields | None:
    """Of the lines between a request's first and the empty one; None: they aren't plain."""
    if _FIELDS.fullmatch(lines) is None:
        return None
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        if name in headers or name.lower() in _UNUSUAL:
            return None  # of a field that comes twice, readers take the first, the last, or both
        headers[name] = value.strip(" \t")
    length = headers.get("Content-Length", "0")
    if _LENGTH.fullmatch(length) is None or int(length) > MOST_BODY_BYTES:
        return None
    if headers.get("Connection", "keep-alive").lower() != "keep-alive" or not headers.get("Host"):
        return None
    return Fields(headers, int(length))


class PlainReader:
    """Reads the requests of one connection, whose fields mostly are the same again and again."""

    def __init__(self) -> None:
        self._lines: bytes | None = None
        self._fields: Fields | None = None

    def read(self, data: bytes, at: int) -> Read:
        """The request that begins there."""
        end = data.find(END, at, at + MOST_HEAD_BYTES)
        if end < 0:
            return None
        line_end = data.find(b"\r\n", at, end + 2)
        line = _LINE.fullmatch(data, at, line_end)
        lines = data[line_end + 2 : end + 2]
        if lines != self._lines:
            self._lines, self._fields = lines, fields_of(lines)
        fields = self._fields
        if line is None or fields is None:
            return None
        method, path, query = line.groups(b"")
        if method == b"GET" and fields.body_bytes:
            return None
        begin = end + len(END)
        body_end = begin + fields.body_bytes
        if body_end > len(data):
            return Lacking(body_end)
        request = PlainRequest(
            method.decode(), path.decode(), query.decode(), fields.headers, data[begin:body_end]
        )
        return request, body_end

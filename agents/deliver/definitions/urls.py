"""URLs of webhooks: scheme, host and port are fixed; a path and a query may hold ``${name}``.

A value is always percent-encoded as a whole, but for the characters that RFC 3986 leaves unreserved; the
rest goes out as the author wrote it. So data never changes what follows it. In a path that isn't enough:
receivers decode, once or more often, before they take ``..`` and ``//`` away or look for ``/`` and ``;``.
A value that could move a request to another path is refused there.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from agents.deliver.definitions.hosts import Endpoint, NoHost, endpoint_of
from agents.deliver.definitions.templates import Values, as_text, names_in, split_text
from agents.deliver.errors import Unsendable

_ADDRESS: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL | re.I)
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})*")
_PORTS: Final = {"http": 80, "https": 443}
_STRUCTURE: Final = re.compile(r"[/\\;\x00-\x1f\x7f]")
"""What separates segments and their parameters, or ends a path, for some receiver or proxy."""
_DECODINGS: Final = 8


class UrlWrong(ValueError):
    """Not an address that requests can be made of. The text says why."""


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """``scheme://host:port`` as it goes over the wire, and the path and query with their variables."""

    origin: str
    endpoint: Endpoint
    segments: tuple[str, ...]
    """Of the path, as they stand between its slashes; the first is empty."""
    query: str | None
    """After the question mark; None: there is none."""

    @classmethod
    def parse(cls, text: str) -> UrlTemplate:
        """Raises UrlWrong. No text of it is in the message: the address may be a secret."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise UrlWrong("url must start with https:// or http:// and a host")
        scheme, authority, rest = match["scheme"].lower(), match["authority"], match["rest"]
        if "$" in authority:
            raise UrlWrong("the host of a url can't hold a variable")
        if "@" in authority:
            raise UrlWrong("a url must not hold a user name and password")
        try:
            endpoint = endpoint_of(authority, _PORTS[scheme])
        except NoHost:
            raise UrlWrong("url isn't an address: there must be a host, or host:port") from None
        if "#" in rest:
            raise UrlWrong("a url must not hold a # (a fragment is never sent): write %23")
        for literal in split_text(rest)[::2]:
            good = _LITERAL.match(literal)
            if good is None or good.end() < len(literal):
                wrong = literal[good.end() if good else 0]
                raise UrlWrong(f"{wrong!r} can't be in a url: write {_encoded(wrong)}")
        path, mark, query = rest.partition("?")
        segments = tuple((path or "/").split("/"))
        if any("$" not in each and each and _is_dots(_decoded(each)) for each in segments):
            raise UrlWrong("a url must not hold . or .. as a part of its path")
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        port = "" if endpoint.port == _PORTS[scheme] else f":{endpoint.port}"
        return cls(f"{scheme}://{host}{port}", endpoint, segments, query if mark else None)

    @property
    def names(self) -> list[str]:
        """The variables in it."""
        return [name for each in (*self.segments, self.query or "") for name in names_in(each)]

    def fill(self, values: Values) -> str:
        """The address with its variables, encoded. Raises Unsendable."""
        try:
            path = "/".join(_segment(each, values) if "$" in each else each for each in self.segments)
            query = "" if self.query is None else f"?{filled(self.query, values)}"
        except UnicodeEncodeError:
            raise Unsendable("invalid_url", "a value for the url has half a surrogate pair in it") from None
        return f"{self.origin}{path}{query}"


def filled(text: str, values: Values) -> str:
    """A part of a URL, with its variables percent-encoded."""
    parts = split_text(text)
    parts[1::2] = [encoded(as_text(values(name))) for name in parts[1::2]]
    return "".join(parts)


def encoded(text: str) -> str:
    """All but what RFC 3986 leaves unreserved, percent-encoded. Raises UnicodeEncodeError."""
    return quote(text, safe="")


def _segment(text: str, values: Values) -> str:
    """One segment of a path. Raises Unsendable where a receiver could read other segments in it."""
    parts = split_text(text)
    if len(parts) == 1:
        return text
    literals, names = parts[::2], parts[1::2]
    shown = [as_text(values(name)) for name in names]
    for name, value in zip(names, shown, strict=True):
        wrong = _STRUCTURE.search(_decoded(value))
        if wrong is not None:
            character = (
                f"the character U+{ord(wrong[0]):04X}" if wrong[0] < " " or wrong[0] == "\x7f" else wrong[0]
            )
            raise Unsendable(
                "unsafe_path", f"{name} is {value!r}: {character} in it could lead to another path"
            )
    whole = "".join(_decoded(each) for each in _alternating(literals, shown))
    if _is_dots(_decoded(whole)):
        found = "empty" if not whole else repr(whole)
        raise Unsendable("unsafe_path", f"a part of the path is {found}, from {', '.join(names)}")
    return "".join(_alternating(literals, [encoded(each) for each in shown]))


def _alternating(literals: list[str], between: list[str]) -> list[str]:
    made = [literals[0]]
    for value, literal in zip(between, literals[1:], strict=True):
        made += [value, literal]
    return made


def _decoded(text: str) -> str:
    """As the receiver may read it that decodes most: percent-decoded until nothing is left, and in NFKC,
    in which a full-width dot is a dot."""
    for _ in range(_DECODINGS):
        before, text = text, unquote(unicodedata.normalize("NFKC", text))
        if text == before:
            break
    return text


def _is_dots(text: str) -> bool:
    """Nothing but dots (and spaces, which some receivers take away), or nothing at all."""
    return not text.strip(" .\u00a0\u200b")


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))

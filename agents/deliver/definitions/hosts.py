"""Host names as they are compared: where a secret may go, and where something is about to be sent.

Both sides are brought to one form first, the one that goes over the wire: lower case, IDNA, no dot at the
end, IPv6 compressed. What can be read in two ways (``0x7f.1``, a user name before ``@``) is no host at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple

from yarl import URL

_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")
_WITH_PORT: Final = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_LONGEST_NAME: Final = 253

HOST_PATTERNS: Final = "host names such as api.example.com, *.example.com or api.example.com:8443"


class NoHost(ValueError):
    """Not a host, or not a host with a port. The text says which."""


class Endpoint(NamedTuple):
    """Where something is sent to: a host in the form above, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def canonical_host(text: str) -> str:
    """The host in the form above. Raises NoHost."""
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in text:
        raise NoHost(f"{text!r} is not a host name: no % can be in one, nor the zone of an IPv6 address")
    try:
        return str(ip_address(inside))
    except ValueError:
        pass
    try:
        name = URL.build(scheme="http", host=text).raw_host or ""
    except ValueError:
        name = ""
    name = name.lower().removesuffix(".")
    if len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
        raise NoHost(f"{text!r} is not a host name")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise NoHost(f"{text!r} is neither a host name nor an IP address as usually written")
    return name


def endpoint_of(text: str, port: int | None = None) -> Endpoint:
    """``host:port``, ``[IPv6]:port``, or only the host where a ``port`` is given. Raises NoHost."""
    match = _WITH_PORT.fullmatch(text)
    if match is None:
        raise NoHost(f"{text!r} is not host:port")
    found = int(match["port"]) if match["port"] else port
    if found is None or not 0 < found < 65_536:
        raise NoHost(f"{text!r} has no port from 1 to 65535")
    return Endpoint(_host_in(match["host"]), found)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, or with ``below`` all hosts below a domain; ``port`` None: each port."""

    host: str
    port: int | None = None
    below: bool = False

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """``api.example.com``, ``*.example.com``, each also with ``:port``; IPv6 with a port in brackets.

        Raises NoHost.
        """
        below = text.startswith("*.")
        rest = text.removeprefix("*.")
        match = _WITH_PORT.fullmatch(rest)
        if match is None:  # an IPv6 address without brackets
            host, port = canonical_host(rest), None
        else:
            host, port = _host_in(match["host"]), int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65_536:
            raise NoHost(f"{text!r} has no port from 1 to 65535")
        if below and _is_address(host):
            raise NoHost(f"{text!r}: there are no hosts below an address")
        return cls(host, port, below)

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether it means an endpoint; ``*.example.com`` takes whole labels, and not ``example.com``."""
        if self.port is not None and self.port != endpoint.port:
            return False
        if self.below:
            return endpoint.host.endswith(f".{self.host}")
        return endpoint.host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ("*." if self.below else "") + host + (f":{self.port}" if self.port is not None else "")


def _host_in(text: str) -> str:
    host = canonical_host(text)
    if text.startswith("[") and ":" not in host:
        raise NoHost(f"{text!r} is not an IPv6 address")
    return host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

"""Where destinations may connect to: checked on the very address that is dialled."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from agents.sinks.addresses.special import CLOUD, EMBEDDING, GLOBAL_UNICAST, SPECIAL, TRANSLATED

_REFUSAL: Final = "deliver.allow_private"


class AddressNotAllowed(OSError):
    """The address is loopback, private, link-local or otherwise not of the public internet."""


def why_not(address: str, allow_private: bool = False) -> str | None:
    """Why nothing may be sent to an IP address; None: it may. IPv4 within IPv6 counts as what it is.

    ``allow_private`` allows all but the addresses at which clouds give credentials to all who ask.
    """
    ip = _inner(ip_address(address.partition("%")[0]))
    translated = _translated(ip)
    for network, name, _ in CLOUD:
        if any(each.version == network.version and each in network for each in translated):
            return f"{address} is an address of a cloud's own services ({name}), which is never allowed"
    if allow_private:
        return None
    named = next(
        (name for network, name, _ in SPECIAL if ip.version == network.version and ip in network), None
    )
    if named is None and isinstance(ip, IPv6Address) and ip not in GLOBAL_UNICAST:
        named = "outside of IPv6's global unicast"
    if named is None:
        return None
    return f"{address} is not an address of the public internet ({named}); {_REFUSAL} would allow it"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    return why_not(address) is None


def is_refusal(text: str) -> bool:
    """Whether an error's text is one of ``AddressNotAllowed``, perhaps among others."""
    return "is not an address of the public internet" in text or "which is never allowed" in text


def check_address(address: str, allow_private: bool) -> None:
    """Raises AddressNotAllowed."""
    reason = why_not(address, allow_private)
    if reason is not None:
        raise AddressNotAllowed(reason)


def guarded_sockets(allow_private: bool) -> Callable[[Any], socket.socket]:
    """For aiohttp's ``socket_factory``, which is given each resolved address before it is dialled."""

    def guarded(address: Any) -> socket.socket:
        family, kind, protocol, _, where = address
        check_address(where[0], allow_private)
        return socket.socket(family=family, type=kind, proto=protocol)

    return guarded


def _translated(ip: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address, and the one that a translator of the local network may make of it."""
    if isinstance(ip, IPv6Address) and any(ip in network for network in TRANSLATED):
        return [ip, IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip]


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, if it does."""
    if isinstance(ip, IPv6Address):
        for network, shift, _ in EMBEDDING:
            if ip in network:
                return IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)
    return ip

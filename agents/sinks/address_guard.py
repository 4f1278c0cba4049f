"""Where webhooks may connect to: checked on the very address that is dialled."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class AddressNotAllowed(OSError):
    """The address is loopback, private, link-local or otherwise not of the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; IPv4 within IPv6 counts as what it is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _nat64(ip)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def guarded_socket(address: Any) -> socket.socket:
    """For aiohttp's ``socket_factory``: the socket for one resolved address. Raises AddressNotAllowed."""
    family, kind, protocol, _, where = address
    host = where[0]
    if not is_public(host):
        raise AddressNotAllowed(
            f"{host} is not an address of the public internet; deliver.allow_private would allow it"
        )
    return socket.socket(family=family, type=kind, proto=protocol)

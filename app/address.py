"""Addresses to listen on: which are loopback for sure, and how they look in a URL."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's and reachable from nowhere else; no other text is one."""
    try:
        found = ip_address(bare(address))
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return found.is_loopback
    return found == IPv6Address("::1") and found.scope_id is None


def bare(host: str) -> str:
    """``[::1]`` as ``::1``."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """``http://host:port``, with brackets around an IPv6 address."""
    host = bare(host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def may_be_loopback(host: str) -> bool:
    """Whether a setting means loopback; what ``localhost`` resolves to is looked at when it is bound."""
    return host.lower() == "localhost" or is_loopback(host)

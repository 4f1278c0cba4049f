"""Addresses that are not of the public internet, each with where that is written.

The IANA special-purpose registries (IPv4, IPv6) as of 2026, all that is not globally reachable, and beside
them multicast and what is deprecated. Of IPv6 only what IANA gave out as global unicast is public.
Not Python's ``is_global``: it changes with the version, and takes some of these for public.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

Entry = tuple[IPv4Network | IPv6Network, str, str]
"""Network, its name, the source."""


def _table(*rows: tuple[str, str, str]) -> tuple[Entry, ...]:
    return tuple((ip_network(network), name, source) for network, name, source in rows)


SPECIAL: Final = _table(
    ("0.0.0.0/8", "this network", "RFC 791"),
    ("10.0.0.0/8", "private use", "RFC 1918"),
    ("100.64.0.0/10", "shared address space", "RFC 6598"),
    ("127.0.0.0/8", "loopback", "RFC 1122"),
    ("169.254.0.0/16", "link-local", "RFC 3927"),
    ("172.16.0.0/12", "private use", "RFC 1918"),
    ("192.0.0.0/24", "IETF protocol assignments", "RFC 6890"),
    ("192.0.2.0/24", "documentation", "RFC 5737"),
    ("192.88.99.0/24", "6to4 relays, deprecated", "RFC 7526"),
    ("192.168.0.0/16", "private use", "RFC 1918"),
    ("198.18.0.0/15", "benchmarking", "RFC 2544"),
    ("198.51.100.0/24", "documentation", "RFC 5737"),
    ("203.0.113.0/24", "documentation", "RFC 5737"),
    ("224.0.0.0/4", "multicast", "RFC 5771"),
    ("240.0.0.0/4", "reserved, with the limited broadcast", "RFC 1112, RFC 8190"),
    ("161.26.0.0/16", "services within IBM Cloud", "IBM Cloud, IP ranges of the service network"),
    ("166.8.0.0/14", "services within IBM Cloud", "IBM Cloud, IP ranges of the service network"),
    ("::/128", "unspecified", "RFC 4291"),
    ("::1/128", "loopback", "RFC 4291"),
    ("::/96", "IPv4-compatible, deprecated", "RFC 4291"),
    ("::ffff:0:0:0/96", "IPv4-translated", "RFC 2765"),
    ("64:ff9b:1::/48", "local-use translation", "RFC 8215"),
    ("100::/64", "discard only", "RFC 6666"),
    ("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    ("2001::/23", "IETF protocol assignments, with Teredo", "RFC 2928, RFC 4380"),
    ("2001:db8::/32", "documentation", "RFC 3849"),
    ("3fff::/20", "documentation", "RFC 9637"),
    ("5f00::/16", "segment routing", "RFC 9602"),
    ("fc00::/7", "unique local", "RFC 4193"),
    ("fe80::/10", "link-local", "RFC 4291"),
    ("fec0::/10", "site-local, deprecated", "RFC 3879"),
    ("ff00::/8", "multicast", "RFC 4291"),
)

CLOUD: Final = _table(
    ("169.254.169.254/32", "metadata", "AWS, Azure, Google Cloud, OCI, DigitalOcean, Hetzner, OpenStack"),
    ("169.254.169.253/32", "DNS", "AWS, VPC user guide"),
    ("169.254.169.123/32", "time", "AWS, EC2 user guide"),
    ("169.254.169.252/32", "metadata of pods", "Google Cloud, GKE workload identity"),
    ("169.254.170.2/32", "credentials of tasks", "AWS, ECS developer guide"),
    ("169.254.170.23/32", "credentials of pods", "AWS, EKS Pod Identity"),
    ("169.254.0.23/32", "metadata", "Tencent Cloud, CVM instance metadata"),
    ("169.254.42.42/32", "metadata", "Scaleway, instance metadata"),
    ("100.100.100.200/32", "metadata", "Alibaba Cloud, ECS instance metadata"),
    ("100.96.0.96/32", "metadata", "Volcengine, ECS instance metadata"),
    ("168.63.129.16/32", "WireServer", "Azure, What is IP address 168.63.129.16?"),
    ("192.0.0.192/32", "metadata", "OCI Classic"),
    ("fd00:ec2::254/128", "metadata", "AWS, EC2 user guide"),
    ("fd00:a9fe:a9fe::1/128", "metadata", "Akamai (Linode), metadata service"),
    ("fd00:ec2::123/128", "time", "AWS, EC2 user guide"),
    ("fd00:ec2::253/128", "DNS", "AWS, VPC user guide"),
    ("fd00:ec2::23/128", "credentials of pods", "AWS, EKS Pod Identity"),
    ("fd20:ce::254/128", "metadata", "Google Cloud, metadata server"),
    ("fd00:c1::a9fe:a9fe/128", "metadata", "OCI, instance metadata"),
    ("fd00:42::42/128", "metadata", "Scaleway, instance metadata"),
    ("fe80::a9fe:a9fe/128", "metadata", "OpenStack Nova, metadata service"),
)
"""Where clouds hand out credentials, or steer their machines: refused even where private addresses aren't."""

EMBEDDING: Final[tuple[tuple[IPv6Network, int, str], ...]] = (
    (IPv6Network("::ffff:0:0/96"), 0, "IPv4-mapped, RFC 4291"),
    (IPv6Network("64:ff9b::/96"), 0, "NAT64, RFC 6052"),
    (IPv6Network("2002::/16"), 80, "6to4, RFC 3056"),
)
"""IPv6 that leads to the IPv4 address in it: so many bits from its right end."""

TRANSLATED: Final = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b:1::/48"),
)
"""Refused as such; where private addresses are allowed, a translator may make IPv4 of the end of it."""

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""IANA's IPv6 address space: the only part from which unicast addresses are given out."""

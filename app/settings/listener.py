"""The settings that everything has that listens on HTTP."""

from __future__ import annotations

from app.address import may_be_loopback
from app.settings.values import Section, Text, Whole, setting, whole


def port(default: int) -> int:
    """A setting: the port of all routes."""
    found: int = whole(default, 0, 65_535, "Port to listen on; 0: any free one.")
    return found


def probe_port(default: int) -> int:
    """A setting: the port of the probes."""
    found: int = whole(
        default,
        0,
        65_535,
        "Port of /livez, /readyz and /metrics alone, which need no key; 0: any free one.",
    )
    return found


class ListenerSettings(Section):
    """Where a process listens: one port with all routes, one with the probes alone."""

    host: Text = setting("127.0.0.1", "a host name or an IP address", "Address to listen on.")
    port: Whole = port(0)
    probe_port: Whole = probe_port(0)

    @property
    def is_loopback(self) -> bool:
        """Nobody outside this machine gets through."""
        return may_be_loopback(self.host)

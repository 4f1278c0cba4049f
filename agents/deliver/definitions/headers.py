"""Which headers a request of ours may be given by those who define where it goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OUR_HEADERS: Final = frozenset(
    {
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
        # These say how the connection is used, and ``host`` where it leads.
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "expect"),
        *("te", "trailer", "upgrade", "proxy-authorization", "proxy-connection"),
    }
)
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header's value may hold (RFC 9110, section 5.5)."""


def header_faults(headers: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    """What is wrong with headers, given as name and value; None: the value isn't known yet."""
    seen: set[str] = set()
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            yield f"{name!r} can't be the name of a header"
        if name.lower() in OUR_HEADERS:
            yield f"the header {name} is set by Turnstile, or by the connection"
        if name.lower() in seen:
            yield f"the header {name} is given twice"
        seen.add(name.lower())
        if value is not None and CONTROL.search(value):
            yield f"the header {name} has a control character in its value"

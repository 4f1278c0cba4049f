"""The keys of records on the topic of audiences.

``project/id/version``: one version of a definition. ``project/id/version/release``: the release of a version
that is held (rules 8a.8). ``project/id``: a definition as programs before versions wrote it; the version
is in its value. Neither projects nor ids have a slash in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from agents.registry.registry import MAX_VERSION
from agents.registry.unusable import Unusable

KEY_IS: Final = "a definition needs the key project/id/version"
_KEY: Final = re.compile(rb"([^/]+/[^/]+)(?:/(0|[1-9][0-9]{0,15})(/release)?)?")


@dataclass(frozen=True, slots=True)
class AudienceKey:
    """What a record's key says."""

    audience: bytes
    """``project/id``."""
    version: int | None = None
    """None: the key is of a program before versions."""
    is_release: bool = False

    def __bytes__(self) -> bytes:
        if self.version is None:
            return self.audience
        return b"%b/%d%b" % (self.audience, self.version, b"/release" if self.is_release else b"")


def parse_key(key: bytes) -> AudienceKey:
    """Raises Unusable for what no record of ours can have."""
    found = _KEY.fullmatch(key)
    version = None if found is None or found[2] is None else int(found[2])
    if found is None or (version is not None and version > MAX_VERSION):
        raise Unusable(KEY_IS)
    return AudienceKey(found[1], version, found[3] is not None)


def audience_of(key: bytes) -> bytes:
    """``project/id`` of any record's key; a key that no record of ours can have is returned as it is."""
    try:
        return parse_key(key).audience
    except Unusable:
        return key

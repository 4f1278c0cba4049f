"""A request to erase a user, as it lies on the repartition topic.

It is a record of the type ``delete`` with a header that says where the logs of the sources ended when it was
made.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agents.formats.refused import RecordRefused
from agents.kafka.placement import ERASURE_BEFORE, Located

Ends = dict[str, dict[int, int]]
"""By topic and partition, the offset after the last record."""

_decode = msgspec.json.Decoder(Ends).decode
_encode = msgspec.json.Encoder().encode


def requested_before(ends: Mapping[str, Mapping[int, int]]) -> tuple[str, bytes]:
    """The header: records before these offsets don't count."""
    return ERASURE_BEFORE, _encode(ends)


def ends_of(request: Located) -> Ends:
    """What the header says. Raises RecordRefused."""
    said = dict(request.headers).get(ERASURE_BEFORE) or b""
    try:
        return _decode(said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RecordRefused("invalid", f"the header {ERASURE_BEFORE} can't be read") from None

"""Events that come again under the same ``id``: what a row remembers of those that were applied.

``Row.seen`` is packed, so that it is written as fast as it is copied: 8 bytes of base instant, then 12 for
each id in order of application: the 64-bit XXH3 of the id, and the ms since the base.
"""

from __future__ import annotations

from xxhash import xxh3_64_digest

DAY_MS = 86_400_000
LONGEST_MS = 49 * DAY_MS
"""What four bytes of ms can tell apart."""
_HEAD, _HASH, _ENTRY = 8, 8, 12


def hash_of(record_id: str) -> bytes:
    """8 bytes that stand for an id."""
    return xxh3_64_digest(record_id.encode("utf-8", "surrogatepass"))


def is_repeated(seen: bytes, record: bytes, now_ms: int, window_ms: int) -> bool:
    """Whether an id (``hash_of``) was applied less than ``window_ms`` before ``now_ms``."""
    at = seen.find(record, _HEAD)
    while at != -1:
        if (at - _HEAD) % _ENTRY == 0:
            return now_ms - _applied_ms(seen, at) < window_ms
        at = seen.find(record, at + 1)
    return False


def remember(seen: bytes, record: bytes, now_ms: int, window_ms: int, most: int) -> tuple[bytes, int]:
    """``seen`` with an id applied at ``now_ms`` and without those that have left the window.

    At most ``most`` stay, the latest; the second value is how many went too early for that.
    """
    if not seen:
        return _base(now_ms) + record + b"\0\0\0\0", 0
    base_ms = int.from_bytes(seen[:_HEAD], "big", signed=True)
    start = _HEAD
    while start < len(seen) and now_ms - _applied_ms(seen, start) >= window_ms:
        start += _ENTRY
    kept = (len(seen) - start) // _ENTRY
    dropped = max(0, kept + 1 - most)
    start += dropped * _ENTRY
    since_ms = now_ms - base_ms
    if start >= len(seen):
        return _base(now_ms) + record + b"\0\0\0\0", dropped
    if since_ms >= 1 << 32:
        return _rebased(seen, start, now_ms, record), dropped
    return seen[:_HEAD] + seen[start:] + record + since_ms.to_bytes(4, "big"), dropped


def _rebased(seen: bytes, start: int, now_ms: int, record: bytes) -> bytes:
    """With the first kept entry's instant as the base."""
    base_ms = _applied_ms(seen, start)
    entries = [
        seen[at : at + _HASH] + (_applied_ms(seen, at) - base_ms).to_bytes(4, "big")
        for at in range(start, len(seen), _ENTRY)
    ]
    return _base(base_ms) + b"".join(entries) + record + (now_ms - base_ms).to_bytes(4, "big")


def _base(base_ms: int) -> bytes:
    return base_ms.to_bytes(_HEAD, "big", signed=True)


def _applied_ms(seen: bytes, at: int) -> int:
    base_ms = int.from_bytes(seen[:_HEAD], "big", signed=True)
    return base_ms + int.from_bytes(seen[at + _HASH : at + _ENTRY], "big")

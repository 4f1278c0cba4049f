"""Records of the changelog that no worker of ours wrote.

The changelog is the state, and no other program may write there. A record that can't be a row, a checkpoint
or an outbox is passed by: the row that was there before it stays. A row that a newer version of this program
wrote is another matter: without it the state would be wrong, so it still stops the worker.
"""

from __future__ import annotations

import msgspec

from agents.registry.unusable import Unusable, usable
from tables.changelog.format import Logged, is_row
from tables.changelog.reader import ChangelogReader
from tables.codec import CHECKPOINT_KEY, ROW_VERSION, RowHead, decode_head, decode_row, split_row_key

LAST_VERSION = b"\x1f"
_decode_head = msgspec.msgpack.Decoder(RowHead).decode


def foreign(record: Logged) -> str | None:
    """Why this can't be a record of ours; None: it can. Raises RowUnreadable for a row of a newer program."""
    if record.key != CHECKPOINT_KEY and _is_newer(record.value):
        decode_head(record.value or b"")
    try:
        usable(lambda: _check(record))
    except Unusable as reason:
        return str(reason)
    return None


def _is_newer(value: bytes | None) -> bool:
    """Whether a value has the shape of a row, but a version that this program doesn't know."""
    if value is None or not ROW_VERSION < value[:1] <= LAST_VERSION:
        return False
    try:
        usable(lambda: _decode_head(memoryview(value)[1:]))
    except Unusable:
        return False
    return True


def _check(record: Logged) -> None:
    key, value = record.key, record.value
    if not key:
        raise Unusable("a row needs a key, and this record has none")
    reader = ChangelogReader()
    reader.read([record])
    _ = reader.checkpoint
    if is_row(key):
        split_row_key(key)
        if value is not None:
            decode_row(value)
    elif key == CHECKPOINT_KEY and value is None:
        raise Unusable("a checkpoint needs a value, and this record has none")

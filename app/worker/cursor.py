"""Where a page of members begins: a text that means the same on every process, whoever has the partition."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from app.http.problems import HttpProblem


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page begins: after a row key of a partition of the table."""

    partition: int = 0
    after: bytes = b""
    version: int = 1

    @property
    def text(self) -> str:
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def of(cls, text: str, partitions: int) -> Cursor:
        """Raises HttpProblem for what no page has given."""
        try:
            cursor = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, msgspec.MsgspecError):
            cursor = None
        if cursor is None or not 0 <= cursor.partition < partitions or cursor.version != 1:
            raise HttpProblem(400, "Bad request", f"after={text!r} is no `next` of a page of members")
        return cursor

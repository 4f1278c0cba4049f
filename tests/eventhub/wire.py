"""Frames and sections at the level of bytes: what the SDK wants otherwise than proton writes it.

proton leaves out trailing nulls, which AMQP allows; the SDK reads fields by position without asking how many
there are. So every performative is padded to its full length on the way out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Number of fields of open, begin, attach, flow, transfer, disposition, detach, end, close.
FIELDS = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}
AMQP_FRAME = 0
NULL = b"\x40"
LIST0, LIST8, LIST32 = 0x45, 0xC0, 0xD0
DATA = 0x75

# Constructor → bytes of its size field.
SIZED = {
    0xA0: 1,
    0xA1: 1,
    0xA3: 1,
    0xB0: 4,
    0xB1: 4,
    0xB3: 4,
    0xC0: 1,
    0xC1: 1,
    0xD0: 4,
    0xD1: 4,
    0xE0: 1,
    0xF0: 4,
}


class Padder:
    """Takes proton's output in pieces of any size, gives it back frame by frame, padded."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What can be sent now; the rest waits for the end of its frame."""
        self._buffer += data
        out = bytearray()
        while len(self._buffer) >= 8:
            # A protocol header, not a frame: "AMQP", protocol, version.
            size = 8 if self._buffer[:4] == b"AMQP" else struct.unpack_from(">I", self._buffer)[0]
            if len(self._buffer) < size:
                break
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            out += frame if frame[:4] == b"AMQP" else padded(frame)
        return bytes(out)


def padded(frame: bytes) -> bytes:
    """The frame with all fields of its performative written; others come back as they are."""
    start = frame[4] * 4
    if frame[5] != AMQP_FRAME or frame[start : start + 2] != b"\x00\x53":
        return frame
    fields = FIELDS.get(frame[start + 2])
    if fields is None:
        return frame
    at = start + 3
    kind = frame[at]
    if kind == LIST0:
        count, items, end = 0, b"", at + 1
    elif kind == LIST8:
        end = at + 2 + frame[at + 1]
        count, items = frame[at + 2], frame[at + 3 : end]
    elif kind == LIST32:
        size, count = struct.unpack_from(">II", frame, at + 1)
        end = at + 5 + size
        items = frame[at + 9 : end]
    else:
        return frame
    if count >= fields:
        return frame
    items += NULL * (fields - count)
    body = frame[8:at] + bytes([LIST32]) + struct.pack(">II", len(items) + 4, fields) + items + frame[end:]
    return struct.pack(">I", 8 + len(body)) + frame[4:8] + body


def sections(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Sections of an encoded message: (code, start, start of the content, end) by position in it."""
    at = 0
    while at < len(message):
        start = at
        if message[at : at + 2] == b"\x00\x53":
            code, at = message[at + 2], at + 3
        elif message[at : at + 2] == b"\x00\x80":
            code, at = struct.unpack_from(">Q", message, at + 2)[0], at + 10
        else:
            raise ValueError(f"no section starts at byte {at} of a message of {len(message)} bytes")
        kind = message[at]
        if kind == LIST0:
            content, at = at + 1, at + 1
        else:
            width = SIZED[kind]
            size = message[at + 1] if width == 1 else struct.unpack_from(">I", message, at + 1)[0]
            content = at + 1 + width
            at = content + size
        yield code, start, content, at


def unbatched(message: bytes) -> list[bytes]:
    """Messages inside a batch (one encoded message per data section), or the message itself.

    proton doesn't tell a delivery's message format, so a batch is known by its first data section's content
    beginning as an encoded message does; the bodies sent in these tests are JSON and never do.
    """
    found = [(content, end) for code, _, content, end in sections(message) if code == DATA]
    if not found or message[found[0][0] : found[0][0] + 2] not in (b"\x00\x53", b"\x00\x80"):
        return [message]
    return [message[content:end] for content, end in found]


def before_body(message: bytes) -> bytes:
    """The sections in front of the body: annotations and properties."""
    for code, start, _, _ in sections(message):
        if code >= DATA:
            return message[:start]
    return message

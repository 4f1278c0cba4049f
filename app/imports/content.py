"""What is in a file: unpacked where it is packed (gzip, zstd), and its lines."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from app.imports.places import SourceFile

PIECE_BYTES: Final = 256 * 1024
"""Unpacked at once."""
PACKED_BYTES: Final = 16 * 1024
"""Of zstd given to the unpacker at once, because it gives all that comes of it."""
MOST_LINE_BYTES: Final = 16 * 1024 * 1024
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"

BadLine = Callable[[int, str, str], None]
"""Gets (line number, code, message)."""
TakenBytes = Callable[[int], None]
"""Gets how many bytes of a file were read since the last call, packed as they are."""


class ContentCut(Exception):
    """The packed data of a file ends before its end, or is broken there; what came before is right."""


class _Source(io.RawIOBase):
    """The chunks of a file, to read from."""

    def __init__(self, file: SourceFile, taken: TakenBytes) -> None:
        self._chunks = file.chunks()
        self._taken = taken
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
            self._taken(len(self._rest))
        found = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(found) :]
        return found

    def peek(self) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
            self._taken(len(self._rest))
        return self._rest[:4]


def unpacked(file: SourceFile, taken: TakenBytes = lambda _: None) -> Iterator[bytes]:
    """The content in pieces of bounded size. Raises CommandFailed; ContentCut after the last good piece."""
    source = _Source(file, taken)
    start = source.peek()
    if start.startswith(GZIP):
        yield from _from_gzip(source)
    elif start.startswith(ZSTD):
        yield from _from_zstd(source)
    else:
        while piece := source.read(PIECE_BYTES):
            yield piece


def _from_gzip(source: _Source) -> Iterator[bytes]:
    reader = gzip.GzipFile(fileobj=source)
    try:
        while piece := reader.read(PIECE_BYTES):
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ContentCut(str(error)) from None


def _from_zstd(source: _Source) -> Iterator[bytes]:
    """A file may have several frames, one after another."""
    import zstandard

    frame = None
    while packed := source.read(PACKED_BYTES):
        while packed:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                piece = frame.decompress(packed)
            except zstandard.ZstdError as error:
                raise ContentCut(str(error)) from None
            for at in range(0, len(piece), PIECE_BYTES):
                yield piece[at : at + PIECE_BYTES]
            packed = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise ContentCut("the last frame has no end")


def lines_of(pieces: Iterator[bytes], bad: BadLine) -> Iterator[bytes]:
    """The lines with their line ends. One that is too long is a blank line instead, and ``bad`` is told."""
    rest: list[bytes] = []
    held = number = 0
    for piece in pieces:
        for line in piece.splitlines(keepends=True) if b"\r" not in piece else _at_newlines(piece):
            held += len(line)
            if held <= MOST_LINE_BYTES:
                rest.append(line)
            if line.endswith(b"\n"):
                number += 1
                yield _line(rest, number, held, bad)
                rest, held = [], 0
    if held:
        yield _line(rest, number + 1, held, bad)


def _at_newlines(piece: bytes) -> list[bytes]:
    """As ``splitlines``, which would take a carriage return for a line end, too."""
    parts = piece.split(b"\n")
    return [*(part + b"\n" for part in parts[:-1]), *([parts[-1]] if parts[-1] else [])]


def _line(parts: list[bytes], number: int, size: int, bad: BadLine) -> bytes:
    if size > MOST_LINE_BYTES:
        bad(number, "too_large", f"the line has more than {MOST_LINE_BYTES} bytes")
        return b"\n"
    return b"".join(parts)

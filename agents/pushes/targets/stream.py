"""The bytes of a file, from the spool: the header, then the rows of all parts, packed if asked for."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agents.pushes.contract.spooled import SpooledList, SpooledPart
from agents.pushes.contract.target import Progress, TargetRefused

PIECE_BYTES: Final = 1 << 20
GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""zlib's way to say gzip. It notes no time, so that the same rows give the same bytes."""


@dataclass(slots=True)
class Written:
    """Of a file, as it was written."""

    bytes: int = 0
    sha256: str = ""


def pieces_of(spooled: SpooledList, written: Written, progress: Progress) -> Iterator[bytes]:
    """The file in pieces. At the end ``written`` is complete. Raises TargetRefused for a broken spool."""
    pack = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WINDOW) if spooled.push.content.format.gzip else None
    digest = hashlib.sha256()
    for piece in _unpacked(spooled, progress):
        packed = piece if pack is None else pack.compress(piece)
        if packed:
            digest.update(packed)
            written.bytes += len(packed)
            yield packed
    if pack is not None:
        rest = pack.flush()
        digest.update(rest)
        written.bytes += len(rest)
        yield rest
    written.sha256 = digest.hexdigest()


def _unpacked(spooled: SpooledList, progress: Progress) -> Iterator[bytes]:
    if spooled.header:
        yield spooled.header
    rows = 0
    for part in spooled.parts:
        done = 0
        for piece in part_pieces(part):
            yield piece
            done += len(piece)
            progress(rows + part.rows * done // part.bytes)
        rows += part.rows
    progress(rows)


def part_pieces(part: SpooledPart) -> Iterator[bytes]:
    """What a part of the spool holds. Raises TargetRefused if it isn't what was written."""
    digest, size = hashlib.sha256(), 0
    try:
        with part.path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                if size > part.bytes:
                    break
                yield piece
    except OSError as error:
        raise TargetRefused(f"the spool of partition {part.partition} can't be read: {error}") from None
    if size != part.bytes or digest.hexdigest() != part.sha256:
        raise TargetRefused(f"the spool of partition {part.partition} isn't what was written into it")

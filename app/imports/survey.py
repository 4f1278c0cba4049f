"""A first look at each file: what its content is, whatever its name, and what of it was imported before.

Every file is read twice: here, and when it is sorted. So all that is known to be in the history already is
left out before anything is decoded, and records with equal timestamps have an order that the content alone
decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from app.imports.content import MOST_LINE_BYTES, ContentCut, TakenBytes, lines_of, unpacked
from app.imports.places import SourceFile
from app.imports.reading import Reading, TimedRecord


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a file holds, up to the end of its last whole line."""

    file: SourceFile
    sha256: str
    bytes: int
    lines: int
    first: TimedRecord | None
    """The first good record; None: it has none."""
    starts: Mapping[int, str]
    """The digests of its starts, by their length: of each length that was asked for and that it has."""
    cut: str = ""
    """What is wrong with what comes after its last whole line; empty: nothing comes."""

    def starts_with(self, length: int, sha256: str) -> bool:
        """Whether it has that content, with more after it or not."""
        return self.starts.get(length) == sha256 or (self.bytes, self.sha256) == (length, sha256)


def survey(
    file: SourceFile, reading: Reading, lengths: Collection[int], taken: TakenBytes = lambda _: None
) -> Surveyed:
    """Read a file once. ``lengths``: of which starts the digest is wanted. Raises CommandFailed."""
    first, header = _first_record(file, reading)
    digest, end = hashlib.sha256(), _Ends()
    starts: dict[int, str] = {}
    marks = sorted(lengths)
    read_bytes, cut = 0, ""
    whole = digest.copy()
    """Up to the last line end."""
    try:
        for piece in unpacked(file, taken):
            at = 0
            line_end = piece.rfind(b"\n") + 1
            inside = [mark - read_bytes for mark in marks if read_bytes < mark <= read_bytes + len(piece)]
            for stop in sorted({*inside, line_end, len(piece)} - {0}):
                digest.update(piece[at:stop])
                at = stop
                if stop in inside:
                    starts[read_bytes + stop] = digest.hexdigest()
                if stop == line_end:
                    whole = digest.copy()
            read_bytes += len(piece)
            end.add(piece)
    except ContentCut as error:
        cut = f"the packed data is cut short or broken: {error}"
    length, lines = read_bytes - end.rest_bytes, end.lines
    if end.rest_bytes and not cut and reading.is_whole(end.rest, header):
        length, lines, whole = read_bytes, lines + 1, digest
    elif end.rest_bytes:
        cut = cut or "the last line has no line end, and can't be read: the file seems to be cut short"
    return Surveyed(file, whole.hexdigest(), length, lines, first, starts, cut)


def survey_all(
    files: Sequence[SourceFile], reading: Reading, lengths: Collection[int], taken: TakenBytes
) -> list[Surveyed]:
    """Likewise of several files. Where one may be the start of another, that is found out, too."""
    found = [survey(each, reading, lengths, taken) for each in files]
    alike: dict[TimedRecord, set[int]] = {}
    for each in found:
        if each.first is not None:
            alike.setdefault(each.first, set()).add(each.bytes)
    return [
        survey(each.file, reading, {*lengths, *alike[each.first]})
        if each.first is not None and min(alike[each.first]) < each.bytes
        else each
        for each in found
    ]


def known_lines(surveyed: Surveyed, known: Mapping[tuple[int, str], int]) -> tuple[int, int]:
    """How much of a file was imported before: bytes and lines of its longest known start.

    ``known``: the lines of what was imported, by (bytes, digest).
    """
    found = [(length, lines) for (length, sha), lines in known.items() if surveyed.starts_with(length, sha)]
    return max(found, default=(0, 0))


class _Ends:
    """Counts lines, and holds what comes after the last line end."""

    def __init__(self) -> None:
        self.lines = 0
        self.rest_bytes = 0
        self._rest: list[bytes] = []

    @property
    def rest(self) -> bytes:
        return b"".join(self._rest)

    def add(self, piece: bytes) -> None:
        self.lines += piece.count(b"\n")
        _, line_end, after = piece.rpartition(b"\n")
        if line_end:
            self._rest, self.rest_bytes = [], 0
        self.rest_bytes += len(after)
        if self.rest_bytes <= MOST_LINE_BYTES:
            self._rest.append(after)


def _first_record(file: SourceFile, reading: Reading) -> tuple[TimedRecord | None, bytes]:
    """The first good record, and the first line."""
    header = b""

    def watched(lines: Iterator[bytes]) -> Iterator[bytes]:
        nonlocal header
        for number, line in enumerate(lines):
            header = line if number == 0 else header
            yield line

    lines = watched(lines_of(_without_cut(unpacked(file)), _ignored))
    for _, records in islice(reading.records(lines, 0, _ignored), 1):
        return records[0], header
    return None, header


def _without_cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except ContentCut:
        return


def _ignored(number: int, code: str, message: str) -> None:
    """What is bad is told when the file is sorted."""

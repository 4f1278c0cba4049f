"""Imports of history: records of ``<prefix>.imports``, and in which order a history topic is read.

``turnstile import`` writes each import into a history topic as one run per partition: records in the order of
their timestamps, each with the header ``import.position``, ``<import id>/<sequence>``. The sequence grows by
one or more from record to record of a run. The topic of imports says where each run lies. Its key is
``topic/import id``, its value ``Import`` as JSON; it is compacted and has one partition.

The rule for readers (rules, section 8a.1: by timestamp, then topic, then offset):

1. A later import may bring earlier records, so that a partition as a whole isn't sorted. Its runs are: one
   for each import that is ``done``, and one of all records without the header, in the order of offsets.
2. Runs of all history topics are merged by (timestamp, topic, offset) of their next records. As each import
   is sorted, what imports wrote comes in exactly that order.
3. Of the records of a run those count whose sequence is above that of the last one that counted. Where two
   processes ran the same import at once, records lie there twice, with the same sequence and content.
4. Records of an import that isn't ``done`` count for nobody: they are no history yet, or will never be.
5. ``turnstile erasures rewrite`` copies the records without the header, and gives the copies one. It notes
   them as an import of its own, whose runs say which records they are in place of (``ImportedRun.replaces``):
   with that one record the copies count, and what was copied counts no more. Such runs, and then what was
   written behind, take the place of the run of all records without the header.

``runs_of`` gives the runs, and ``Piece.filter`` what counts of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import msgspec

from agents.registry.registry import Registry
from agents.registry.unusable import Unusable

POSITION: Final = "import.position"
"""The header of imported records."""
NOT_IMPORTED: Final = ""
"""In place of an import's id: records that no import wrote."""

Headers = Sequence[tuple[str, bytes | None]]


class ImportedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of an import, or the part of it that no earlier import had. It is known by its content."""

    name: str
    """As it was called when it was imported; for people."""
    sha256: str
    """Of its first ``bytes`` bytes, unpacked."""
    bytes: int
    """Up to the end of the last whole line."""
    lines: int
    """In these bytes."""
    first_ms: int
    """Timestamp of its first good record, also where that was imported before."""
    from_bytes: int = 0
    """Where an earlier import had the file when it was shorter: so much was known, and is left out."""
    from_lines: int = 0


class ImportedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an import wrote into one partition: the records with its header from ``begin`` to ``end``."""

    partition: int
    begin: int
    """Offset."""
    end: int = -1
    """The offset after the last record; below ``begin`` until the import is done."""
    records: int = 0
    first_ms: int = 0
    """Timestamps of the first and of the last record, if there are records."""
    last_ms: int = 0
    before_ms: int = 0
    """Records of this instant or later were refused: the sources begin there."""
    replaces: int = 0
    """It is of copies, in place of all records before this offset that no import wrote."""


class Import(msgspec.Struct, frozen=True, omit_defaults=True):
    """One import."""

    id: str
    """A hash of what is imported, and how; never of where it lay."""
    topic: str
    """The history topic."""
    topic_id: str
    """Kafka's id of it in hexadecimal digits; empty at brokers without ids."""
    state: Literal["writing", "done", "abandoned"]
    reading: str
    """In which format the files were read, for people and for comparing."""
    files: tuple[ImportedFile, ...]
    runs: tuple[ImportedRun, ...]
    begun_ms: int
    at_ms: int
    """When it came to its state, by the wall clock."""

    @property
    def key(self) -> bytes:
        return f"{self.topic}/{self.id}".encode()

    @property
    def records(self) -> int:
        return sum(each.records for each in self.runs)


_decode = msgspec.json.Decoder(Import).decode
encode_import = msgspec.json.Encoder().encode


class Imports(Registry[tuple[str, str], Import]):
    """The imports of the topic, by (history topic, import id)."""

    key_is: ClassVar[str] = "an import needs the key topic/id"

    def id_of(self, key: bytes) -> tuple[str, str]:
        topic, slash, import_id = key.decode().partition("/")
        if not slash or not topic or not import_id:
            raise Unusable(self.key_is)
        return topic, import_id

    def decode(self, key: bytes, value: bytes) -> Import:
        found = _decode(value)
        if found.key != key:
            raise Unusable(f"the record is of {found.key.decode()}")
        return found

    def of(self, topic: str, topic_id: str) -> list[Import]:
        """Those of a history topic, the oldest first; none of a topic of this name that was deleted."""
        found = [each for each in self.published.values() if (each.topic, each.topic_id) == (topic, topic_id)]
        return sorted(found, key=lambda each: (each.begun_ms, each.id))


def position_header(import_id: str, sequence: int) -> tuple[str, bytes]:
    """The header of one record."""
    return POSITION, f"{import_id}/{sequence}".encode()


def position_of(headers: Headers) -> tuple[str, int] | None:
    """Import id and sequence of a record; None: no import wrote it."""
    for name, value in headers:
        if name == POSITION and value is not None:
            import_id, _, sequence = value.decode("ascii", "replace").partition("/")
            return (import_id, int(sequence)) if sequence.isdigit() and len(sequence) < 19 else None
    return None


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of offsets in one partition, and which of its records count."""

    import_id: str
    """``NOT_IMPORTED``: the records without the header."""
    begin: int
    end: int
    first_ms: int | None = None
    """Timestamps of the first and of the last record that count; None: not known, and not in order."""
    last_ms: int | None = None

    def filter(self, after: int = -1) -> Callable[[Headers], bool]:
        """A function that gets the headers of the records one after another, and says which of them count.

        ``after``: the sequence of the last record that counted, where the reading goes on (``position_of``).
        """
        if self.import_id == NOT_IMPORTED:
            return lambda headers: position_of(headers) is None
        last = after

        def counts(headers: Headers) -> bool:
            nonlocal last
            position = position_of(headers)
            if position is None or position[0] != self.import_id or position[1] <= last:
                return False
            last = position[1]
            return True

        return counts


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one partition that are to be merged with those of other runs: pieces, read one after
    another."""

    topic: str
    partition: int
    pieces: Sequence[Piece]

    @property
    def offsets(self) -> int:
        """How many records there are to read, at most."""
        return sum(each.end - each.begin for each in self.pieces)


def runs_of(topic: str, partition: int, begin: int, end: int, imports: Iterable[Import]) -> list[Run]:
    """The runs of one partition of a history topic, which has the offsets from ``begin`` to ``end``.

    ``imports`` are those of the topic (``Imports.of``). As few runs as possible: imports that lie one after
    another in time are pieces of one run.
    """
    known = [
        (each, run)
        for each in imports
        if each.state == "done"
        for run in each.runs
        if run.partition == partition and (run.records or run.replaces)
    ]
    pieces = [
        Piece(each.id, max(run.begin, begin), min(run.end, end), run.first_ms, run.last_ms)
        for each, run in known
        if not run.replaces
    ]
    copied = sorted((run.replaces, each.id, run.begin, run.end) for each, run in known if run.replaces)
    copies = [Piece(name, max(first, begin), min(last, end)) for _, name, first, last in copied]
    copies = [each for each in copies if each.begin < each.end]
    rest = max([begin, *(run.replaces for _, run in known)])
    others = [Piece(NOT_IMPORTED, rest, end)]
    if all(run.records == run.end - run.begin for _, run in known):  # nobody else wrote in between
        others = list(_gaps(sorted([*pieces, *copies], key=lambda each: each.begin), rest, end))
    others = [*copies, *others]
    chains = _chained(each for each in pieces if each.begin < each.end)
    return [Run(topic, partition, each) for each in (others, *chains) if any(p.begin < p.end for p in each)]


def _gaps(pieces: Iterable[Piece], begin: int, end: int) -> Iterator[Piece]:
    """What of the offsets lies in none of the pieces, which are in the order of their offsets."""
    for each in pieces:
        if begin < each.begin:
            yield Piece(NOT_IMPORTED, begin, each.begin)
        begin = max(begin, each.end)
    if begin < end:
        yield Piece(NOT_IMPORTED, begin, end)


def _chained(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Pieces put one after another where that keeps the order by (timestamp, offset)."""
    chains: list[list[Piece]] = []
    for each in sorted(pieces, key=lambda piece: (piece.first_ms or 0, piece.begin)):
        first = (each.first_ms or 0, each.begin)
        for chain in chains:
            if (chain[-1].last_ms or 0, chain[-1].begin) < first:
                chain.append(each)
                break
        else:
            chains.append([each])
    return chains

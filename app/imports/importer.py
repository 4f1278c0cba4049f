"""One ``turnstile import``: look at the cluster and at the files, then sort and write what is new.

Memory and disk: ``app.imports.sorting``. What is read and sorted needs no event loop, so that Ctrl-C ends it
at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from agents.backfill.history.imports import Import, ImportedFile
from agents.kafka.placement import partition_of
from app.failures import CommandFailed
from app.imports.cluster import Ground, look_around
from app.imports.content import ContentCut, lines_of, unpacked
from app.imports.places import SourceFile
from app.imports.planning import Plan, PlannedFile, PlannedImport, lengths_of, plan
from app.imports.reading import Reading
from app.imports.sorting import Sorter
from app.imports.survey import Surveyed, survey_all
from app.imports.writing import abandon_imports, write_import
from app.settings.tree import Settings
from app.simulate.bad_lines import BadLines
from rules.time.instants import format_instant

NOT_BEFORE: Final = "not_before_sources"
"""The code of a record that isn't from before the source topics begin."""
CUT: Final = "cut"
"""The code of what comes after a file's last whole line."""
BYTES: Final = "bytes"
RECORDS: Final = "records"


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class Progress(Protocol):
    """Shown while an import runs. A phase has a number of steps: bytes of files, or records."""

    def begin(self, phase: str, total: int, unit: str) -> None: ...

    def add(self, steps: int) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """``buffer_bytes`` and ``folder`` (None: the system's for temporary files) are of the sorting."""

    topic: str | None
    strict: bool
    abandon: bool
    buffer_bytes: int
    folder: Path | None


@dataclass(slots=True)
class Outcome:
    """What an import came to."""

    topic: str = ""
    imports: list[Import] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    """Files of which everything was imported before."""
    empty: list[str] = field(default_factory=list)
    """Files without a good record."""
    bad: int = 0
    """Lines, and records in lines, that can't be used."""
    erased: int = 0
    """Records of users who were erased: they are left out."""


class Importer:
    """``tell`` gets a line for people about what is bad."""

    def __init__(
        self,
        settings: Settings,
        reading: Reading,
        options: Options,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._reading = reading
        self._options = options
        self._progress = progress
        self._tell = tell
        self.outcome = Outcome()

    def run(self, files: Sequence[SourceFile]) -> Outcome:
        """Import what is new of the files.

        Raises CommandFailed, TopicsUnusable; with ``strict`` also for bad lines, before anything is written.
        """
        ground = asyncio.run(look_around(self._settings, self._options.topic))
        self.outcome.topic = ground.topic.name
        max_bytes = min(self._reading.max_bytes, ground.largest_bytes)
        self._reading = dataclasses.replace(self._reading, max_bytes=max_bytes)
        planned = self._plan(files, ground)
        if planned.abandoned:
            asyncio.run(abandon_imports(self._settings, planned.abandoned))
        self._tell_bad(planned, ground)
        for each in planned.imports:
            done = self._import(each, ground)
            ground = dataclasses.replace(ground, imports=[*ground.imports, done])
            self.outcome.imports.append(done)
        return self.outcome

    def _plan(self, files: Sequence[SourceFile], ground: Ground) -> Plan:
        lengths = lengths_of(ground.imports)
        self._progress.begin("looking at the files", sum(each.size_bytes for each in files), BYTES)
        surveyed = survey_all(files, self._reading, lengths, self._progress.add)
        self._progress.end()
        return plan(surveyed, ground.topic, ground.imports, self._reading.description, self._options.abandon)

    def _tell_bad(self, planned: Plan, ground: Ground) -> None:
        """What is bad in files that aren't imported. Raises CommandFailed."""
        self.outcome.known = [each.file.name for each in planned.known]
        for each in planned.known:
            if each.cut:
                bad = self._bad_lines(each)
                bad.add(each.lines + 1, CUT, each.cut)
                self._count(bad)
        self.outcome.empty = [each.file.name for each in planned.empty]
        with Sorter(ground.topic.partitions, self._options.buffer_bytes) as nothing:
            for each in planned.empty:
                whole = ImportedFile(each.file.name, each.sha256, each.bytes, each.lines, 0)
                self._read(PlannedFile(each, whole), ground.before_ms, nothing)

    def _import(self, planned: PlannedImport, ground: Ground) -> Import:
        options, before_ms = self._options, ground.before_ms
        if planned.begun is not None:
            before_ms = [each.before_ms for each in planned.begun.runs]
        with Sorter(ground.topic.partitions, options.buffer_bytes, options.folder) as sorter:
            self._sort(planned.files, before_ms, sorter)
            if options.strict and self.outcome.bad:
                raise CommandFailed("nothing was written, because of --strict")
            self._progress.begin("writing", sorter.records, RECORDS)
            writing = write_import(
                self._settings, ground, planned, sorter, self._reading.description, self._progress.add
            )
            done, left_out = asyncio.run(writing)
            self.outcome.erased += left_out
            self._progress.end()
            return done

    def _sort(self, files: Sequence[PlannedFile], before_ms: Sequence[int], sorter: Sorter) -> None:
        total = sum(each.surveyed.file.size_bytes for each in files)
        self._progress.begin("reading and sorting", total, BYTES)
        try:
            for each in files:
                self._read(each, before_ms, sorter)
        except OSError as error:
            raise CommandFailed(f"the records can't be sorted on disk (--temp): {error}") from None
        self._progress.end()

    def _read(self, planned: PlannedFile, before_ms: Sequence[int], sorter: Sorter) -> None:
        """Read what is new of a file. Raises CommandFailed, OSError."""
        surveyed, part = planned.surveyed, planned.part
        bad, partitions = self._bad_lines(surveyed), len(before_ms)
        digest = hashlib.sha256()

        def lines() -> Iterator[bytes]:
            pieces = _start_of(unpacked(surveyed.file, self._progress.add), part.bytes, digest)
            return bad.watched(lines_of(pieces, bad.add))

        for number, records in self._reading.records(lines(), part.from_lines, bad.add):
            for timestamp, user_id, value in records:
                partition = partition_of(user_id, partitions)
                if timestamp >= before_ms[partition]:
                    bad.add(number, NOT_BEFORE, _not_before(timestamp, before_ms[partition]))
                else:
                    sorter.add(partition, timestamp, user_id.encode(), value)
        if digest.hexdigest() != part.sha256:
            raise CommandFailed(f"{surveyed.file.name} changed while it was read: give the command again")
        if surveyed.cut and part.bytes == surveyed.bytes:
            bad.add(surveyed.lines + 1, CUT, surveyed.cut)
        self._count(bad)

    def _bad_lines(self, surveyed: Surveyed) -> BadLines:
        return BadLines(surveyed.file.name, self._tell)

    def _count(self, bad: BadLines) -> None:
        bad.end()
        self.outcome.bad += bad.count


def _start_of(pieces: Iterator[bytes], up_to: int, digest: Digest) -> Iterator[bytes]:
    """The first ``up_to`` bytes, which ``digest`` takes, too."""
    with suppress(ContentCut):
        for piece in pieces:
            piece = piece[:up_to]
            up_to -= len(piece)
            digest.update(piece)
            yield piece
            if up_to == 0:
                return


def _not_before(timestamp: int, before_ms: int) -> str:
    return (
        f"it is of {format_instant(timestamp)}, and the sources of its partition begin at "
        f"{format_instant(before_ms)}: what is not before that must come from them"
    )

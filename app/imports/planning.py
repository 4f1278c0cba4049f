"""What is to be imported: of the files that are given, what no import had before. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.backfill.history.imports import Import, ImportedFile
from app.failures import CommandFailed
from app.imports.survey import Surveyed, known_lines
from rules.time.instants import format_instant


@dataclass(frozen=True, slots=True)
class HistoryTopic:
    """The topic that is imported into. ``topic_id`` in hexadecimal digits, empty where there is none."""

    name: str
    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to read, and what of it."""

    surveyed: Surveyed
    part: ImportedFile


@dataclass(frozen=True, slots=True)
class PlannedImport:
    """One import that is to be made. ``begun``: it was begun before, and is to be completed."""

    id: str
    files: Sequence[PlannedFile]
    begun: Import | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the files."""

    imports: Sequence[PlannedImport]
    known: Sequence[Surveyed]
    """Files of which everything was imported before, or that are given twice."""
    empty: Sequence[Surveyed]
    """Files without a good record."""
    abandoned: Sequence[Import] = ()


def lengths_of(imports: Iterable[Import]) -> set[int]:
    """How long the files were that were imported: of which starts the digests are wanted."""
    return {file.bytes for each in imports if each.state != "abandoned" for file in each.files}


def plan(
    files: Sequence[Surveyed], topic: HistoryTopic, imports: Sequence[Import], reading: str, abandon: bool
) -> Plan:
    """``imports`` are those of the topic, ``reading`` describes how the files are read.

    Raises CommandFailed where an import isn't complete and can't be completed with these files, and where a
    file was imported in another reading.
    """
    unfinished = [each for each in imports if each.state == "writing"]
    abandoned = unfinished if abandon else []
    begun = [] if abandon else [_completed(each, files, reading) for each in unfinished]
    done = [each for each in imports if each.state == "done"]
    _check_reading(files, done, reading)
    known = {(file.bytes, file.sha256): file.lines for each in done for file in each.files}
    known |= {(file.part.bytes, file.part.sha256): file.part.lines for each in begun for file in each.files}
    rest: list[PlannedFile] = []
    old: list[Surveyed] = []
    empty: list[Surveyed] = []
    for each in sorted(files, key=lambda each: each.bytes):
        length, lines = known_lines(each, known)
        if length >= each.bytes > 0:
            old.append(each)
            continue
        if each.first is None:
            empty.append(each)
            continue
        known[each.bytes, each.sha256] = each.lines
        first_ms = each.first.timestamp
        part = ImportedFile(each.file.name, each.sha256, each.bytes, each.lines, first_ms, length, lines)
        rest.append(PlannedFile(each, part))
    planned = [*begun, *([_new(rest, topic, reading)] if rest else [])]
    return Plan(planned, old, empty, abandoned)


def import_id(topic: HistoryTopic, reading: str, files: Sequence[ImportedFile]) -> str:
    """A hash of what decides which records are written, in which order, and to which partitions."""
    contents = [(each.sha256, each.bytes, each.from_bytes) for each in files]
    what = [topic.name, topic.topic_id, topic.partitions, reading, contents]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _new(files: Sequence[PlannedFile], topic: HistoryTopic, reading: str) -> PlannedImport:
    """Files that are parts of one log follow one another, whatever they are called."""
    ordered = sorted(files, key=_order)
    return PlannedImport(import_id(topic, reading, [each.part for each in ordered]), ordered)


def _order(file: PlannedFile) -> tuple[int, int, str]:
    return file.part.first_ms, file.part.from_bytes, file.part.sha256


def _completed(begun: Import, files: Sequence[Surveyed], reading: str) -> PlannedImport:
    found: list[PlannedFile] = []
    missing: list[str] = []
    for part in begun.files:
        holder = next((each for each in files if each.starts_with(part.bytes, part.sha256)), None)
        if holder is None:
            missing.append(part.name)
        else:
            found.append(PlannedFile(holder, part))
    when = format_instant(begun.begun_ms)
    otherwise = "If it still runs, wait for it. To give it up, so that nothing of it counts: --abandon"
    if missing:
        raise CommandFailed(
            f"an import that began at {when} isn't complete. Give its files again, those of now may be "
            f"beside them: {', '.join(missing)}. {otherwise}"
        )
    if begun.reading != reading:
        raise CommandFailed(
            f"an import of these files that began at {when} isn't complete, and it read them as "
            f"{begun.reading}, not as {reading}. Read them so again. {otherwise}"
        )
    return PlannedImport(begun.id, found, begun)


def _check_reading(files: Sequence[Surveyed], done: Sequence[Import], reading: str) -> None:
    wrong = [
        f"{each.file.name} was imported before, but read as {past.reading}, not as {reading}: its records "
        "would be there twice"
        for past in done
        if past.reading != reading
        for part in past.files
        for each in files
        if each.starts_with(part.bytes, part.sha256)
    ]
    if wrong:
        raise CommandFailed("\n".join(wrong))

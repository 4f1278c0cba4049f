"""Which records of a history topic count, and in which order: exactly by (timestamp, topic, offset)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from random import Random

import pytest

from agents.backfill.history.imports import (
    NOT_IMPORTED,
    POSITION,
    Import,
    ImportedRun,
    Imports,
    Piece,
    encode_import,
    position_header,
    position_of,
    runs_of,
)


@dataclass(frozen=True)
class Written:
    """A record of a partition; ``offset`` and ``value`` are its number."""

    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = None
    value: bytes | None = None


def an_import(import_id: str, *runs: ImportedRun, state: str = "done", begun_ms: int = 0) -> Import:
    return Import(import_id, "h", "", state, "native", (), runs, begun_ms, 0)  # type: ignore[arg-type]


def read(log: list[Written], imports: list[Import]) -> list[int]:
    """Offsets as a reader takes them."""

    def taken(pieces: object) -> list[tuple[int, str, int]]:
        found = []
        for piece in pieces:  # type: ignore[attr-defined]
            counts = piece.filter()
            found += [
                (each.timestamp, "h", each.offset)
                for each in log[piece.begin : piece.end]
                if counts(each.headers)
            ]
        return found

    runs = runs_of("h", 0, 0, len(log), imports)
    return [offset for _, _, offset in heapq.merge(*(taken(run.pieces) for run in runs))]


def append(log: list[Written], import_id: str, timestamps: list[int], first: int = 0) -> ImportedRun:
    begin = len(log)
    for number, timestamp in enumerate(sorted(timestamps), first):
        log.append(Written(len(log), timestamp, (position_header(import_id, number),)))
    return ImportedRun(0, begin, len(log), len(timestamps), min(timestamps), max(timestamps))


def test_the_header_tells_import_and_sequence() -> None:
    assert position_of([("x", b"1"), position_header("ab12", 40)]) == ("ab12", 40)
    assert position_of([]) is None
    assert position_of([(POSITION, b"ab/\xff")]) is None
    assert position_of([(POSITION, None)]) is None


def test_imports_that_overlap_in_time_are_read_by_timestamp_then_offset() -> None:
    for seed in range(200):
        random, log = Random(seed), list[Written]()
        imports = []
        for number in range(random.randint(1, 5)):
            timestamps = [random.randint(0, 30) for _ in range(random.randint(1, 12))]
            imports.append(an_import(f"i{number}", append(log, f"i{number}", timestamps)))
        expected = sorted(log, key=lambda each: (each.timestamp, each.offset))
        assert read(log, imports) == [each.offset for each in expected]


def test_imports_one_after_another_in_time_are_one_run_whatever_came_first() -> None:
    log: list[Written] = []
    newer, older, later = append(log, "n", [50, 60]), append(log, "o", [10, 50]), append(log, "l", [60, 70])
    runs = runs_of("h", 0, 0, 6, [an_import("n", newer), an_import("o", older), an_import("l", later)])
    # 50 of the newer one lies before 50 of the older one, so these two can't be one after another.
    assert [[piece.import_id for piece in run.pieces] for run in runs] == [["o", "l"], ["n"]]
    assert read(log, [an_import("n", newer), an_import("o", older), an_import("l", later)]) == [
        2,
        0,
        3,
        1,
        4,
        5,
    ]


def test_records_that_lie_there_twice_count_once() -> None:
    log: list[Written] = []
    append(log, "i", [10, 20, 30])
    append(log, "i", [20, 30, 40], first=1)  # of a process that ran beside it
    append(log, "i", [50], first=4)
    run = ImportedRun(0, 0, len(log), 5, 10, 50)
    assert read(log, [an_import("i", run)]) == [0, 1, 2, 5, 6]


def test_an_import_that_is_not_done_counts_for_nobody() -> None:
    log: list[Written] = []
    half = append(log, "half", [10, 20])
    done = append(log, "done", [15])
    for state in ("writing", "abandoned"):
        assert read(log, [an_import("half", half, state=state), an_import("done", done)]) == [2]
    assert read(log, []) == []


def test_records_that_no_import_wrote_count_in_their_order() -> None:
    log = [Written(0, 30), Written(1, 20)]
    run = append(log, "i", [10, 25])
    log.append(Written(len(log), 26))
    assert read(log, [an_import("i", run)]) == [2, 3, 0, 1, 4]
    # One of another program amid an import: the whole partition is looked through.
    between = [Written(0, 10, (position_header("i", 0),)), Written(1, 5), Written(2, 20, log[3].headers)]
    mixed = ImportedRun(0, 0, 3, 2, 10, 20)
    assert read(between, [an_import("i", mixed)]) == [1, 0, 2]


def test_copies_of_what_no_import_wrote_take_its_place_in_its_order() -> None:
    log = [Written(0, 30), Written(1, 20)]
    run = append(log, "i", [25])
    log += [Written(3, 7)]  # written on while the copies are made
    copies = [Written(4 + at, log[at].timestamp, (position_header("copy", at),)) for at in (0, 1)]
    log += [copies[0], Written(5, 8), replace(copies[1], offset=6)]
    assert read(log, [an_import("i", run)]) == [2, 0, 1, 3, 5], "the copies don't count yet"
    made = an_import("copy", ImportedRun(0, 4, 7, 2, replaces=3))
    assert read(log, [an_import("i", run), made]) == [2, 4, 6, 3, 5]
    nothing = an_import("copy", ImportedRun(0, 4, 4, 0, replaces=3))
    assert read(log, [an_import("i", run), nothing]) == [3, 5, 2]


def test_the_reading_goes_on_after_a_sequence() -> None:
    piece = Piece("i", 0, 4)
    counts = piece.filter(after=2)
    assert [counts((position_header("i", each),)) for each in (1, 2, 3)] == [False, False, True]
    assert not counts((position_header("other", 9),))
    assert Piece(NOT_IMPORTED, 0, 1).filter()(())


def test_what_retention_took_of_a_run_is_not_asked_for() -> None:
    run = ImportedRun(0, 0, 10, 10, 1, 2)
    (only,) = runs_of("h", 0, 4, 10, [an_import("i", run)])
    assert [(each.begin, each.end) for each in only.pieces] == [(4, 10)]
    assert only.offsets == 6
    assert runs_of("h", 0, 10, 10, [an_import("i", run)]) == []
    assert runs_of("h", 1, 0, 0, [an_import("i", run)]) == []


@dataclass(frozen=True)
class Published:
    key: bytes | None
    value: bytes | None
    offset: int = 0


def test_the_registry_has_the_imports_of_a_topic_that_is_the_same_one() -> None:
    imports = Imports("turnstile.imports")
    second, first = an_import("b", begun_ms=2), an_import("a", begun_ms=1)
    for each in (second, first):
        assert imports.take(Published(each.key, encode_import(each)))
    assert imports.of("h", "") == [first, second]
    assert imports.of("h", "another id") == []
    assert imports.of("other", "") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"h", b"{}"), (b"h/other", encode_import(an_import("a"))), (b"h/a", b"{"), (None, b"{}")],
)
def test_what_is_no_import_is_passed_by(key: bytes | None, value: bytes) -> None:
    imports = Imports("turnstile.imports")
    assert not imports.take(Published(key, value))
    assert imports.published == {}

"""From when on what a computation reads is all that there was."""

from __future__ import annotations

from aiokafka.structs import TopicPartition

from agents.backfill.history.extent import Begin, Extent, Start, begin_ms_of
from agents.backfill.history.imports import NOT_IMPORTED, Piece, Run

NOW = 1_000_000


def begins(**logs: Begin) -> dict[TopicPartition, Begin]:
    return {TopicPartition(name, 0): begin for name, begin in logs.items()}


def extent(from_ms: int | None, *offsets: int, runs: tuple[Run, ...] = ()) -> Extent:
    return Extent(from_ms, runs, tuple(Start("ab"[at], 0, offset) for at, offset in enumerate(offsets)))


def test_a_log_that_is_read_from_its_first_record_ever_has_no_begin() -> None:
    assert begin_ms_of(extent(None, 0), begins(a=Begin(0, 500)), NOW) == 0
    assert begin_ms_of(extent(700, 0), begins(a=Begin(0, 800)), NOW) == 0
    assert begin_ms_of(extent(None, 0, 0), begins(a=Begin(0, None), b=Begin(0, 5)), NOW) == 0


def test_what_is_left_out_of_a_whole_log_begins_where_it_was_cut() -> None:
    assert begin_ms_of(extent(700, 3), begins(a=Begin(0, 500)), NOW) == 700
    assert begin_ms_of(extent(700, 3, 0), begins(a=Begin(0, 500), b=Begin(0, 900)), NOW) == 700


def test_a_log_that_lost_records_begins_with_those_it_has() -> None:
    assert begin_ms_of(extent(None, 9), begins(a=Begin(9, 500)), NOW) == 500
    assert begin_ms_of(extent(700, 12), begins(a=Begin(9, 500)), NOW) == 700
    assert begin_ms_of(extent(300, 9), begins(a=Begin(9, 500)), NOW) == 500
    assert begin_ms_of(extent(300, 9), begins(a=Begin(9, None)), NOW) == NOW
    assert begin_ms_of(extent(300, 9, 0), begins(a=Begin(9, 500), b=Begin(0, 900)), NOW) == 500
    assert begin_ms_of(extent(300, 9, 4), begins(a=Begin(9, 500), b=Begin(4, 600)), NOW) == 600


def test_imported_records_lie_before_it() -> None:
    run = Run("h", 0, (Piece(NOT_IMPORTED, 0, 5, 100, 200),))
    assert begin_ms_of(extent(None, 9, runs=(run,)), begins(a=Begin(9, 500)), NOW) == 100
    assert begin_ms_of(extent(150, 9, runs=(run,)), begins(a=Begin(9, 500)), NOW) == 150

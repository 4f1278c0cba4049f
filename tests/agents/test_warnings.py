from __future__ import annotations

from structlog.testing import capture_logs

from agents.warnings import OTHERS, PLACES, Warnings


class Wall:
    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def test_a_warning_is_kept_with_its_count_and_its_first_and_last_instant() -> None:
    wall = Wall()
    warnings = Warnings(wall)
    warnings.note("bad_record", "topic/0", "the record can't be read")
    wall.now_ms = 5_000
    warnings.note("bad_record", "topic/0", "the record can't be read either", 3)
    (each,) = warnings.active()
    assert (each.count, each.first_ms, each.last_ms) == (4, 1_000, 5_000)
    assert each.text == "the record can't be read either"


def test_a_cleared_warning_is_gone_but_its_total_stays() -> None:
    warnings = Warnings(Wall())
    warnings.note("bad_record", "topic/0", "text")
    warnings.clear("bad_record", "topic/0")
    warnings.clear("bad_record", "topic/1")
    assert warnings.active() == []
    assert warnings.totals == {"bad_record": 1}


def test_one_line_a_minute_is_logged_per_code_and_place() -> None:
    wall = Wall()
    warnings = Warnings(wall)
    with capture_logs() as lines:
        for _ in range(1_000):
            warnings.note("bad_record", "topic/0", "text")
        warnings.note("bad_record", "topic/1", "text")
        wall.now_ms += 60_000
        warnings.note("bad_record", "topic/0", "text")
    assert [(each["place"], each["count"]) for each in lines] == [
        ("topic/0", 1),
        ("topic/1", 1),
        ("topic/0", 1_001),
    ]


def test_memory_is_bounded_however_many_places_there_are() -> None:
    warnings = Warnings(Wall())
    for number in range(PLACES * 3):
        warnings.note("bad_record", f"topic/{number}", "text")
    active = warnings.active()
    assert len(active) == PLACES + 1
    assert {each.place: each.count for each in active}[OTHERS] == 2 * PLACES
    assert warnings.totals["bad_record"] == 3 * PLACES

"""A wall clock that jumps is looked at twice; one that steps back costs no record."""

from __future__ import annotations

from agents.wall_clock import CONFIRM_MS, JUMPED, STEPPED_BACK, STEPPED_BACK_MS, WallClock
from agents.warnings import Warnings

T = 1_790_000_000_000
LEAD = 600_000
HOUR = 3_600_000
YEAR = 365 * 24 * HOUR


class Machine:
    """Both clocks of a machine; ``error_ms`` is what its wall clock is wrong by."""

    def __init__(self) -> None:
        self.passed_ms = 0
        self.error_ms = 0
        self.warnings = Warnings()
        self.clock = WallClock(LEAD, self.warnings, lambda: self.true_ms + self.error_ms, self._monotonic)

    @property
    def true_ms(self) -> int:
        return T + self.passed_ms

    def _monotonic(self) -> int:
        return 77 + self.passed_ms

    def wait(self, ms: int, look_every: int = 1_000) -> None:
        until = self.passed_ms + ms
        while self.passed_ms < until:
            self.passed_ms = min(until, self.passed_ms + look_every)
            self.clock.now_ms()

    def codes(self) -> set[str]:
        return {each.code for each in self.warnings.active()}

    @property
    def ahead_ms(self) -> int:
        """How far what is believed is from the truth."""
        return self.clock.now_ms() - self.true_ms

    @property
    def latest_ahead_ms(self) -> int:
        return self.clock.latest_ms() - self.true_ms


def test_time_that_passes_is_followed_however_long_nobody_looks() -> None:
    machine = Machine()
    for _ in range(5):
        machine.wait(30 * 24 * HOUR, look_every=10 * 24 * HOUR)
        assert (machine.ahead_ms, machine.latest_ahead_ms) == (0, LEAD)
    assert machine.codes() == set()


def test_small_corrections_are_followed_at_once() -> None:
    machine = Machine()
    for error_ms in (LEAD, 0, -LEAD + 1, -1, 200, -300):
        machine.error_ms = error_ms
        assert machine.ahead_ms == error_ms
    assert machine.codes() == set()


def test_a_jump_forward_is_followed_once_a_minute_has_confirmed_it() -> None:
    machine = Machine()
    machine.error_ms = YEAR
    assert machine.ahead_ms == 0
    machine.wait(CONFIRM_MS - 1)
    assert machine.ahead_ms == 0
    (warning,) = machine.warnings.active()
    assert warning.code == JUMPED
    assert "jumped forward by 31536000 s" in warning.text
    machine.wait(1)
    assert machine.ahead_ms == YEAR
    assert machine.codes() == set()
    machine.wait(HOUR)
    assert machine.ahead_ms == YEAR


def test_a_wrong_reading_that_is_over_within_the_minute_changes_nothing() -> None:
    machine = Machine()
    machine.error_ms = YEAR
    machine.wait(CONFIRM_MS // 2)
    machine.error_ms = 0
    assert machine.ahead_ms == 0
    assert machine.codes() == set()
    machine.error_ms = YEAR
    machine.wait(CONFIRM_MS - 1_000)
    assert machine.ahead_ms == 0  # a minute of its own


def test_a_clock_that_jumps_about_is_not_confirmed_by_another_wrong_reading() -> None:
    machine = Machine()
    for number in range(1, 200):
        machine.error_ms = number * YEAR
        machine.wait(1_000)
        assert machine.ahead_ms == 0
    assert machine.codes() == {JUMPED}


def test_records_of_the_present_are_taken_while_a_clock_is_put_right() -> None:
    machine = Machine()
    machine.error_ms = -HOUR
    clock = WallClock(LEAD, machine.warnings, lambda: machine.true_ms + machine.error_ms, machine._monotonic)
    assert clock.latest_ms() < machine.true_ms  # nothing tells that it is an hour behind
    machine.error_ms = 0
    assert clock.now_ms() == machine.true_ms - HOUR
    assert clock.latest_ms() == machine.true_ms + LEAD


def test_a_step_back_is_followed_but_records_of_the_present_are_taken_for_a_day() -> None:
    machine = Machine()
    machine.wait(5_000)
    machine.error_ms = -HOUR
    assert machine.ahead_ms == -HOUR
    assert machine.codes() == {STEPPED_BACK}
    for _ in range(4):
        machine.wait(STEPPED_BACK_MS // 4 - 1_000, look_every=60_000)
        assert machine.latest_ahead_ms == LEAD
    machine.wait(10_000)
    assert machine.latest_ahead_ms == LEAD - HOUR
    assert machine.codes() == set()


def test_a_step_back_that_is_mended_is_forgotten() -> None:
    machine = Machine()
    machine.error_ms = -HOUR
    machine.wait(10_000)
    machine.error_ms = 0
    machine.wait(CONFIRM_MS + 1_000)
    assert (machine.ahead_ms, machine.latest_ahead_ms) == (0, LEAD)
    assert machine.codes() == set()


def test_several_steps_back_are_judged_by_the_clock_before_the_first() -> None:
    machine = Machine()
    for hours in (1, 2, 3):
        machine.error_ms = -hours * HOUR
        machine.wait(60_000)
    assert machine.latest_ahead_ms == LEAD

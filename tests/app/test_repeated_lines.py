from __future__ import annotations

import logging
from itertools import pairwise

from app.repeated_lines import FIRST_SECONDS, KINDS, LONGEST_SECONDS, RepeatedLines


class FoldedLogger:
    """A logger whose repeated lines are folded, and a clock by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.repeated = RepeatedLines(["aiokafka", "faust"], lambda: self.now)

    def line(
        self, message: str, *arguments: object, name: str = "aiokafka.client", error: object = None
    ) -> str:
        """What comes out; empty: it was folded."""
        raised = (type(error), error, None) if isinstance(error, BaseException) else None
        record = logging.LogRecord(name, logging.ERROR, "", 1, message, arguments, raised)
        return record.getMessage() if self.repeated.filter(record) else ""


def test_the_first_line_passes_and_repetitions_are_counted() -> None:
    log = FoldedLogger()
    assert log.line("no connection to %s: %s", 1, "refused") == "no connection to 1: refused"
    for _ in range(500):
        log.now += 0.1
        assert log.line("no connection to %s: %s", 2, "refused") == ""
    log.now += FIRST_SECONDS
    expected = "no connection to 1: refused (and 500 more like it in the last 110 s)"
    assert log.line("no connection to %s: %s", 1, "refused") == expected
    assert log.repeated.folded == 500


def test_what_is_new_passes() -> None:
    log = FoldedLogger()
    for cause in ("refused", "timed out", "closed"):
        assert log.line("no connection to %s: %s", 1, cause)
        assert log.line("no connection to %s: %s", 1, cause) == ""
    assert log.line("crashed", error=ValueError("why"))
    assert log.line("crashed", error=ValueError("why")) == ""
    assert log.line("crashed", error=ValueError("otherwise"))
    assert log.line("refused", name="faust.app")
    assert log.line("refused", name="faust.worker")


def test_lines_of_ours_and_of_other_libraries_are_not_folded() -> None:
    log = FoldedLogger()
    for name in ("turnstile.worker", "aiokafkas", "py.warnings"):
        assert all(log.line("the same", name=name) for _ in range(3))


def test_repetitions_pass_less_and_less_often_and_anew_once_they_were_over() -> None:
    log = FoldedLogger()
    passed = []
    for second in range(20_000):
        log.now = float(second)
        if log.line("down"):
            passed.append(second)
    assert passed[:4] == [0, 60, 660, 4260]
    assert all(later - earlier <= LONGEST_SECONDS for earlier, later in pairwise(passed))
    log.now += 2 * LONGEST_SECONDS
    assert log.line("down")
    log.now += FIRST_SECONDS
    assert log.line("down")


def test_memory_is_bounded_whatever_is_logged() -> None:
    log = FoldedLogger()
    for number in range(3 * KINDS):
        assert log.line("x" * (number + 1))
    assert len(log.repeated._kinds) == KINDS

"""What ``turnstile test`` says: a line for each case, and of those that failed what differs, by time."""

from __future__ import annotations

from collections.abc import Iterator

from app.simulate.cases import CaseResult, Line
from rules.time.instants import format_instant

NOTHING = "-"
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def report(outcome: CaseResult) -> Iterator[str]:
    """The lines to print for a case."""
    place = f"{outcome.file}:{outcome.case.place.line}"
    yield f"{'ok  ' if outcome.passed else 'FAIL'} {place} {outcome.case.name}"
    for problem in outcome.problems:
        yield f"     {problem}"
    if any(not line.is_right for line in outcome.lines):
        yield from table(outcome.lines, outcome.case.start_ms)


def table(lines: list[Line], start_ms: int) -> Iterator[str]:
    """Expected and got side by side; ``>`` marks what differs."""
    rows = [("", "at", "", "user", "expected", "got")]
    for line in lines:
        expected, got = (text if text else NOTHING for text in (line.expected, line.got))
        mark = " " if line.is_right else ">"
        rows.append(
            (mark, format_instant(line.at_ms), offset(line.at_ms - start_ms), line.user_id, expected, got)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def offset(ms: int) -> str:
    """``+1h30m``: how long after the case's start, as cases write it."""
    rest, text = abs(ms), ""
    for unit, length_ms in UNITS_MS.items():
        number, rest = divmod(rest, length_ms)
        text += f"{number}{unit}" if number else ""
    return ("-" if ms < 0 else "+") + (text or "0")

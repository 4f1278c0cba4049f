"""Whether the history reaches as far back as audiences look, and what to say if not (section 8a.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rules.explain.phrases import span
from rules.model.language import Audience
from rules.model.lookback import asked_ms
from rules.time.durations import UNITS_MS, format_duration
from rules.time.instants import format_instant


@dataclass(frozen=True, slots=True)
class LogBegin:
    """Where one partition of a source topic begins. ``whole``: it begins at offset 0.

    ``first_ms``: timestamp of its first record, or of the first record of the history topics for this
    partition if that is earlier; None: there is no record.
    """

    place: str
    """For people, such as ``events/3``."""
    first_ms: int | None
    whole: bool = False

    def reaches(self, from_ms: int | None) -> bool:
        """Whether no record above ``from_ms`` can be missing; None: no record at all."""
        if self.whole:
            return True
        return from_ms is not None and self.first_ms is not None and self.first_ms <= from_ms


@dataclass(frozen=True, slots=True)
class Shortfall:
    """An audience for which the history is too short."""

    audience: Audience
    looks_ms: int | None
    """As far as its rule looks back, or its author asks for, without ``dedupe.window``; None: everything."""
    log: LogBegin
    """The partition of which least is there."""
    at_ms: int

    @property
    def from_ms(self) -> int:
        """From when on the history is there."""
        return self.at_ms if self.log.first_ms is None else min(self.log.first_ms, self.at_ms)

    @property
    def accepted(self) -> str:
        """The ``history`` of a ``backfill`` that takes what is there."""
        length_ms = _whole_units(self.at_ms - self.from_ms)
        return format_duration(length_ms) if length_ms else "none"

    @property
    def message(self) -> str:
        """What is wrong."""
        looks = "all that ever was" if self.looks_ms is None else f"{span(_whole_units(self.looks_ms))}"
        here = f"audience '{self.audience.id}' looks back over {looks}, and"
        length_ms = _whole_units(self.at_ms - self.from_ms)
        if not length_ms:
            return f"{here} no history is there: what was in {self.log.place} is gone"
        since = f"the history is there from {format_instant(self.from_ms)} on ({span(length_ms)})"
        return f"{here} {since}: what was in {self.log.place} before is gone"

    @property
    def hint(self) -> str:
        """What it takes."""
        accept = f"backfill: {{history: {self.accepted}}} accepts what is there"
        if self.looks_ms is None:  # nobody but its author knows whether an import is all that ever was
            return f"{accept}; turnstile import can bring in more, for a longer one"
        return f"{accept}; turnstile import brings in what is missing"

    def __str__(self) -> str:
        return f"{self.message} - {self.hint}"


def shortfalls(
    audiences: Iterable[Audience],
    by_id: Mapping[str, Audience],
    logs: Sequence[LogBegin],
    at_ms: int,
    dedupe_ms: int,
) -> list[Shortfall]:
    """The audiences for which the history is shorter than their authors ask for; empty: it is complete.

    ``audiences``: all that would be computed anew, those that ask about a changed one included. ``by_id``:
    the audiences of their project as they would be then. ``logs``: every partition of every source topic, or
    those of one partition of the table. ``at_ms``: stream time, or the wall clock where nobody knows that.
    ``dedupe_ms`` is the setting ``dedupe.window``.
    """
    found: list[Shortfall] = []
    for audience in audiences:
        asked = asked_ms(audience, by_id, dedupe_ms, at_ms)
        if asked == 0:
            continue
        from_ms = None if asked is None else at_ms - asked
        short = [log for log in logs if not log.reaches(from_ms)]
        if short:
            least = max(short, key=lambda log: at_ms if log.first_ms is None else log.first_ms)
            looks = asked_ms(audience, by_id, 0, at_ms)
            found.append(Shortfall(audience, looks, least, at_ms))
    return found


def _whole_units(length_ms: int) -> int:
    """Rounded down to whole ones of the largest unit up to days that is in it; 0 for none."""
    unit_ms = next((UNITS_MS[unit] for unit in ("d", "h", "m", "s", "ms") if length_ms >= UNITS_MS[unit]), 1)
    return max(0, length_ms - length_ms % unit_ms)

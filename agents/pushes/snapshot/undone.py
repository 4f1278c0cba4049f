"""What the step that passed a list's instant did after it, in one partition, so that it can be undone.

A store has the rows as the last step left them. From the moment at which the instant is chosen, the rows
that come are looked at before they are applied: their outboxes hold the transitions of their last steps, so
the first one after the instant says how the membership was before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rules.state.row import Transition
from tables.changelog.format import CHUNKS_HEADER, OUTBOX_HEADER, Logged, is_row
from tables.codec import decode_head, decode_outbox
from tables.erased import ERASED, pseudonym

Stored = Callable[[list[bytes]], Sequence[bytes | None]]


class InstantPassed(Exception):
    """A row knows of something after the instant, and not any more how it was then: another instant is
    needed."""


@dataclass(frozen=True, slots=True)
class Before:
    """A membership before the first transition after the instant; ``since_ms`` is there for a member."""

    inside: bool
    since_ms: int


@dataclass(slots=True)
class Undone:
    """Of one audience. ``take`` gets the records in order, each before it is applied."""

    project: str
    audience: str
    instant_ms: int
    touched: set[bytes] = field(default_factory=set)
    """Keys of rows that came since the instant was chosen."""
    _erased: set[bytes] = field(default_factory=set)
    """Pseudonyms of users who were erased after the instant."""
    _first: dict[bytes, Transition] = field(default_factory=dict)

    def take(self, records: Sequence[Logged], stored: Stored) -> None:
        """``stored`` gives rows as they are before these records. Raises InstantPassed."""
        rows = [each for each in records if is_row(each.key)]
        new = [key for key in dict.fromkeys(each.key for each in rows) if key not in self.touched]
        if any(value is not None and self._is_after(value) for value in stored(new)):
            raise InstantPassed("a row was changed after the instant before that was chosen")
        self.touched.update(new)
        for record in records:
            if record.key.startswith(ERASED):
                self._erased.add(record.key[len(ERASED) :])
        for record in rows:
            for name, value in record.headers:
                if name == OUTBOX_HEADER:
                    self._note(record.key, decode_outbox(value).transitions)
                elif name == CHUNKS_HEADER and (record.value is None or self._is_after(record.value)):
                    raise InstantPassed("a row after the instant has more transitions than one record holds")

    def before(self, key: bytes) -> Before | None:
        """How the membership was; None: nothing changed it after the instant. Who was erased since counts as
        nobody."""
        first = self._first.get(key)
        if self._erased and pseudonym(key) in self._erased:
            return Before(False, 0)
        return None if first is None else Before(not first.is_enter, first.entered_at_ms)

    @property
    def changed(self) -> Mapping[bytes, Transition]:
        """By row key, the first transition after the instant."""
        return self._first

    def _is_after(self, row: bytes) -> bool:
        return decode_head(row).now_ms > self.instant_ms

    def _note(self, key: bytes, transitions: Sequence[Transition]) -> None:
        for each in transitions:
            if each.audience != self.audience or each.project != self.project or each.destination:
                continue
            known = self._first.get(key)
            if each.at_ms > self.instant_ms and (known is None or each.seq < known.seq):
                self._first[key] = each

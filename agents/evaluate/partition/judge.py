"""Judging timestamps: a record from the future is refused once, and then for ever.

A record whose timestamp is ahead of the wall clock would move stream time there, and fire every timer until
then. Whether it is ahead depends on when one asks, so the answer is kept (``tables.refused``): a record that
comes again, after a crash or on another worker, gets the answer that it got first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agents.evaluate.partition.intake import letter_of
from agents.evaluate.steps import DeadLetter, Record
from agents.formats.refused import RecordRefused
from agents.kafka.placement import Place
from rules.time.instants import MAX_MS, format_instant
from tables.codec import Checkpoint
from tables.refused import Note, Refused

ANY_TIMESTAMP_MS: Final = 1 << 63


class TimestampJudge:
    """Judges the records of one partition's sources. ``notes``: the refusals that the store holds."""

    def __init__(
        self, place: Place, recovered: Checkpoint | None, notes: Iterable[tuple[bytes, bytes]]
    ) -> None:
        self._place = place
        self._refused = Refused(notes)
        self._judged: dict[int, int] = {**recovered.positions, **recovered.judged} if recovered else {}
        """Per source, the last offset whose timestamp was judged, now or in an earlier life."""
        self._new_notes: list[Note] = []

    def same_refusals(self) -> TimestampJudge:
        """A judge for a shadow: it refuses what this one refuses, now and later."""
        judge = TimestampJudge(self._place, None, ())
        judge._refused = self._refused
        return judge

    @property
    def unreadable_notes(self) -> list[bytes]:
        """Keys of notes that no worker of ours wrote."""
        return self._refused.unreadable

    def judge(
        self, source: int, records: Sequence[Record], stream_time_ms: int, latest_ms: int | None
    ) -> tuple[Sequence[Record], list[DeadLetter]]:
        """The records of a source partition that are in time, and dead letters of the others.

        A record is refused when its timestamp is after ``latest_ms`` (None: none is) and would move stream
        time there. What lies before stream time can't move it: no note is needed to decide alike later.
        """
        last_ms = max([each.timestamp for each in records])
        if self.takes_all(source, last_ms, stream_time_ms, latest_ms):
            return records, []
        refused = self._refused
        limit_ms = _limit_ms(stream_time_ms, latest_ms)
        judged = self._judged.get(source, -1)
        taken: list[Record] = []
        letters: list[DeadLetter] = []
        news: list[int] = []
        for record in records:
            if refused.holds(source, record.offset):
                pass
            elif record.offset > judged and limit_ms < record.timestamp <= MAX_MS:  # beyond: never valid
                news.append(record.offset)
            else:
                taken.append(record)
                continue
            letters.append(self._letter(record, latest_ms))
        self._new_notes.extend(refused.add(source, news))
        return taken, letters

    def takes_all(self, source: int, last_ms: int, stream_time_ms: int, latest_ms: int | None) -> bool:
        """Whether records of a source partition with timestamps up to ``last_ms`` are in time for certain."""
        return last_ms <= _limit_ms(stream_time_ms, latest_ms) and not self._refused.any_of(source)

    def judged_to(self, source: int, offset: int) -> None:
        """The source's records up to this one are judged: they are not judged again."""
        self._judged[source] = max(offset, self._judged.get(source, -1))

    def judged_beyond(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Per source, the last offset judged where that isn't the position."""
        return {source: offset for source, offset in self._judged.items() if offset != positions.get(source)}

    def take_notes(self) -> list[Note]:
        """The notes that came since the last call; the next step writes them."""
        notes, self._new_notes = self._new_notes, []
        return notes

    def refuses(self, topic: str, partition: int) -> bool:
        """Whether records of this source partition are noted as refused."""
        return self._refused.any_of(self._place.source(topic, partition))

    def forget(self, topic: str, partition: int, log_start: int) -> None:
        """The source partition begins at this offset now: notes of earlier records may go."""
        self._new_notes.extend(self._refused.forget(self._place.source(topic, partition), log_start))

    def _letter(self, record: Record, latest_ms: int | None) -> DeadLetter:
        at = format_instant(record.timestamp)
        message = f"the record's timestamp {at} is ahead of the wall clock by more than clock.max_lead_ms"
        if latest_ms is not None and record.timestamp > latest_ms:
            message += f": timestamps up to {format_instant(latest_ms)} were taken then"
        return letter_of(self._place, record, RecordRefused("timestamp_ahead", message, "clock"))


def _limit_ms(stream_time_ms: int, latest_ms: int | None) -> int:
    return ANY_TIMESTAMP_MS if latest_ms is None else max(latest_ms, stream_time_ms)

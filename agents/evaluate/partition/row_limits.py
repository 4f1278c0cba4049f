"""Rows that would be larger than the changelog takes: what happens instead of a worker that can't go on.

A record that would make its user's row larger than half of what the changelog takes is a dead letter
(``row_too_large``) and leaves no trace in the row. A step notices only at its end, when rows are encoded; so
it is computed again from its beginning, and the records of the users concerned are looked at one by one. The
rest of the room is for what no record is to blame for, time and definitions. A row that these would make too
large even so stays as it was: the user's audiences stay as they are, and the worker says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from dataclasses import replace

from agents.evaluate.partition.apply import take_records
from agents.evaluate.partition.intake import by_record, decode_records
from agents.evaluate.partition.state import Partition
from agents.evaluate.steps import DeadLetter, Draft, Limits, Record
from rules.decide.decide import fire
from tables.changelog.format import largest_row_bytes
from tables.codec import split_row_key
from tables.profiles import RowsTooLarge, Staged

ROW_TOO_LARGE = "row_too_large"
_ABSENT = (-1,)
Before = int | None | tuple[int]


def stage_what_fits(partition: Partition, draft: Draft) -> tuple[Draft, Staged]:
    """Stage a draft's rows. If some are too large: the draft without what made them so, and its rows."""
    most_bytes = largest_row_bytes(partition.limits.changelog_bytes)
    try:
        return draft, partition.stage(draft, allowed_bytes(partition.limits, draft))
    except RowsTooLarge as found:
        large = frozenset(found.keys)
    if draft.fed:
        draft = _compute_again(partition, draft, large)
    else:
        _leave(partition, draft, large, by_time=draft.counts.timers > 0)
    return draft, partition.stage(draft, most_bytes)


def allowed_bytes(limits: Limits, draft: Draft) -> int:
    """How large a draft's rows may be, with their keys, before one is looked at by itself."""
    return by_records_bytes(limits) if draft.fed else largest_row_bytes(limits.changelog_bytes)


def by_records_bytes(limits: Limits) -> int:
    """How large records may make a row, with its key."""
    return largest_row_bytes(limits.changelog_bytes) * 2 // 3


def _compute_again(partition: Partition, draft: Draft, large: Set[bytes]) -> Draft:
    """The step of a draft's records once more, without those that make the rows of ``large`` too large."""
    partition.rewind(draft)
    made = partition.begin()
    made.is_bounded = False  # it has the records that the draft took
    for records in draft.fed:
        read, _ = decode_records(partition.place, records, partition.limits)
        waiting: list[Record] = []
        for record, parts in by_record(read):
            if large.isdisjoint(key for _, key in parts):
                waiting.append(record)
                continue
            take_records(partition, made, waiting)
            waiting = []
            for part, key in parts:
                if key in large:
                    _take_checked(partition, made, part, key)
                else:
                    take_records(partition, made, [part])
        take_records(partition, made, waiting)
    return made


def _take_checked(partition: Partition, draft: Draft, record: Record, key: bytes) -> None:
    """Take one record, or refuse it: its effect is put back, but not stream time, and not what time does."""

    def take() -> object:
        return take_records(partition, draft, [record])

    size = _try(partition, draft, key, take, by_record=True)
    if size:
        # Time may have made it so large: that goes first, and if it doesn't fit, the record may make room.
        fits = not _try(partition, draft, key, lambda: _fire(partition, draft, key), by_record=False)
        size = _try(partition, draft, key, take, by_record=fits)
    if not size:
        return
    message = (
        f"the user's row would have {size} bytes; rows may fill half of a changelog record, and the "
        f"changelog takes records of {partition.limits.changelog_bytes} bytes (max.message.bytes)"
    )
    draft.refuse(DeadLetter(record, partition.place.origin(record), ROW_TOO_LARGE, message, "apply"))


def _try(
    partition: Partition, draft: Draft, key: bytes, change: Callable[[], object], by_record: bool
) -> int:
    """Change one row. If it gets too large it is put back, and its size is the answer; otherwise 0."""
    profiles = partition.profiles
    before = profiles.read_encoded(key)
    emitted, dead, counts = len(draft.transitions), len(draft.dead), replace(draft.counts)
    claims = len(draft.claims)
    changed: Before = draft.changed.get(key, _ABSENT)
    local: Before = draft.local.get(key, _ABSENT)
    change()
    after = profiles.read_encoded(key)
    allowed = largest_row_bytes(partition.limits.changelog_bytes)
    if by_record and (before is None or len(key) + len(before) <= by_records_bytes(partition.limits)):
        allowed = by_records_bytes(partition.limits)  # otherwise it has grown by time or definitions
    if after is None or after == before or len(key) + len(after) <= allowed:
        return 0
    profiles.put_back(key, before)
    del draft.transitions[emitted:], draft.keys[emitted:], draft.dead[dead:], draft.claims[claims:]
    draft.counts = counts
    for into, timer_ms in ((draft.changed, changed), (draft.local, local)):
        into.pop(key, None)
        if not isinstance(timer_ms, tuple):
            into[key] = timer_ms
    return len(key) + len(after)


def _fire(partition: Partition, draft: Draft, key: bytes) -> None:
    """The user's timers that stream time has passed."""
    row = partition.rows(draft, [key]).get(key)
    if row is None or row.timer_ms is None or row.timer_ms >= partition.stream_time_ms:
        return
    project, user_id = split_row_key(key)
    due_before = row.timer_ms
    fire(partition.rules.project(project), user_id, row, partition.stream_time_ms, draft.transitions)
    draft.claim(key)
    draft.change(key, due_before)


def _leave(partition: Partition, draft: Draft, large: Collection[bytes], by_time: bool) -> None:
    """Take these users out of a draft that time or definitions made: their rows stay as they were.

    Their timers are looked at again with their next records, and after a restart.
    """
    kept = [pair for pair in zip(draft.keys, draft.transitions, strict=True) if pair[0] not in large]
    draft.keys[:] = [key for key, _ in kept]
    draft.transitions[:] = [transition for _, transition in kept]
    draft.claims[:] = [pair for pair in draft.claims if pair[0] not in large]
    for key in large:
        timer_ms = draft.changed.pop(key)
        if by_time and timer_ms is not None:
            draft.stale.append((timer_ms, key))  # otherwise it is found again at once, for ever
    partition.profiles.forget(large)
    draft.left.extend(large)

"""Rows that would be larger than the changelog takes: what happens instead of a worker that can't go on.

A record that would make its user's row larger than half of what the changelog takes is a dead letter
(``row_too_large``) and leaves no trace in the row. A step notices only at its end, when rows are encoded; so
it is computed again from its beginning, and the records of the users concerned are looked at one by one. The
rest of the room is for what no record is to blame for, time and definitions. A row that these would make too
large even so stays as it was: the user's audiences stay as they are, and the worker says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from agents.evaluate.intake import decode_records
from agents.evaluate.steps import DeadLetter, Draft, Limits, Record
from rules.decide.decide import fire
from tables.changelog import largest_row_bytes
from tables.codec import split_row_key

if TYPE_CHECKING:
    from agents.evaluate.pipeline import Pipeline

ROW_TOO_LARGE = "row_too_large"
_ABSENT = (-1,)
Before = int | None | tuple[int]


def by_records_bytes(limits: Limits) -> int:
    """How large records may make a row, with its key."""
    return largest_row_bytes(limits.changelog_bytes) * 2 // 3


def compute_again(pipeline: Pipeline, draft: Draft, large: Collection[bytes]) -> Draft:
    """The step of a draft's records once more, without those that make the rows of ``large`` too large."""
    pipeline.rewind(draft)
    made = pipeline.begin()
    made.is_bounded = False  # it has the records that the draft took
    for records in draft.fed:
        batch = decode_records(pipeline.place, records, pipeline.limits, Draft(0, {}))
        waiting: list[Record] = []
        for record, (_, _, key, _) in zip(records, batch, strict=True):
            if key not in large:
                waiting.append(record)
                continue
            pipeline.feed(made, waiting)
            waiting = []
            _feed_checked(pipeline, made, record, key)
        pipeline.feed(made, waiting)
    return made


def _feed_checked(pipeline: Pipeline, draft: Draft, record: Record, key: bytes) -> None:
    """Take one record, or refuse it: its effect is put back, but not stream time, and not what time does."""

    def feed() -> object:
        return pipeline.feed(draft, [record])

    size = _try(pipeline, draft, key, feed, by_record=True)
    if size:
        # Time may have made it so large: that goes first, and if it doesn't fit, the record may make room.
        fits = not _try(pipeline, draft, key, lambda: _fire(pipeline, draft, key), by_record=False)
        size = _try(pipeline, draft, key, feed, by_record=fits)
    if not size:
        return
    message = (
        f"the user's row would have {size} bytes; rows may fill half of a changelog record, and the "
        f"changelog takes records of {pipeline.limits.changelog_bytes} bytes (max.message.bytes)"
    )
    letter = DeadLetter(record, pipeline.place.origin(record), ROW_TOO_LARGE, message, "apply")
    draft.dead.append(letter)
    draft.refused.append(letter)


def _try(pipeline: Pipeline, draft: Draft, key: bytes, change: Callable[[], object], by_record: bool) -> int:
    """Change one row; when it gets too large it is put back, and its size is the answer. Otherwise 0."""
    profiles = pipeline.profiles
    before = profiles.read_encoded(key)
    emitted, dead, counts = len(draft.transitions), len(draft.dead), replace(draft.counts)
    changed: Before = draft.changed.get(key, _ABSENT)
    local: Before = draft.local.get(key, _ABSENT)
    change()
    after = profiles.read_encoded(key)
    allowed = largest_row_bytes(pipeline.limits.changelog_bytes)
    if by_record and (before is None or len(key) + len(before) <= by_records_bytes(pipeline.limits)):
        allowed = by_records_bytes(pipeline.limits)  # else it has grown by time or definitions
    if after is None or after == before or len(key) + len(after) <= allowed:
        return 0
    profiles.put_back(key, before)
    del draft.transitions[emitted:], draft.keys[emitted:], draft.dead[dead:]
    draft.counts = counts
    for into, timer_ms in ((draft.changed, changed), (draft.local, local)):
        into.pop(key, None)
        if not isinstance(timer_ms, tuple):
            into[key] = timer_ms
    return len(key) + len(after)


def _fire(pipeline: Pipeline, draft: Draft, key: bytes) -> None:
    """The user's timers that stream time has passed."""
    row = pipeline.profiles.load([key]).get(key)
    if row is None or row.timer_ms is None or row.timer_ms >= pipeline.stream_time_ms:
        return
    project, user_id = split_row_key(key)
    emitted, timer_ms = len(draft.transitions), row.timer_ms
    fire(pipeline.rules.project(project), user_id, row, pipeline.stream_time_ms, draft.transitions)
    draft.keys.extend([key] * (len(draft.transitions) - emitted))
    if key not in draft.changed:
        draft.changed[key] = draft.local.pop(key, timer_ms)


def leave(pipeline: Pipeline, draft: Draft, large: Collection[bytes], by_time: bool) -> None:
    """Take these users out of a draft that time or definitions made: their rows stay as they were.

    Their timers are looked at again with their next records, and after a restart.
    """
    kept = [pair for pair in zip(draft.keys, draft.transitions, strict=True) if pair[0] not in large]
    draft.keys[:] = [key for key, _ in kept]
    draft.transitions[:] = [transition for _, transition in kept]
    for key in large:
        timer_ms = draft.changed.pop(key)
        if by_time and timer_ms is not None:
            draft.stale.append((timer_ms, key))  # or it would be found again at once, for ever
    pipeline.profiles.forget(large)
    draft.left.extend(large)

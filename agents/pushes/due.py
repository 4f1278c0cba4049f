"""When a push is due."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agents.pushes.contract.push import Push, Schedule
from rules.time.calendar import calendar_of
from rules.time.schedules import Cron

AHEAD_MS = 60_000
"""A time that passed so long ago, or longer, was missed: whoever leads looks every second, and a new leader
is found sooner."""


@dataclass(frozen=True, slots=True)
class DueTime:
    """A run that is due: at the last of ``times`` instants. ``is_skipped``: missed, and its author wants
    nothing made up for."""

    due_ms: int
    times: int = 1
    is_skipped: bool = False


def due_time(
    push: Push, first_published_ms: int, published_ms: int, last_due_ms: int | None, now_ms: int
) -> DueTime | None:
    """What is due at ``now_ms``, all missed times together; None: nothing.

    ``first_published_ms`` is when the push was published first, ``published_ms`` when it was as it is now;
    ``last_due_ms`` the last time of its schedule that is in the ledger.
    """
    schedule = push.schedule
    if schedule.kind == "once":
        return _once(schedule, first_published_ms, last_due_ms, now_ms)
    cron = _cron(schedule.zone, schedule.cron)
    after_ms = max(published_ms, -1 if last_due_ms is None else last_due_ms)
    if schedule.start_ms is not None:
        after_ms = max(after_ms, schedule.start_ms - 1)
    until_ms = now_ms if schedule.end_ms is None else min(now_ms, schedule.end_ms - 1)
    due_ms = cron.latest(until_ms)
    if due_ms is None or due_ms <= after_ms:
        return None
    times = _count(cron, after_ms, due_ms)
    return DueTime(due_ms, times, _is_skipped(schedule, due_ms, now_ms))


def next_due_ms(push: Push, first_published_ms: int, last_due_ms: int | None, now_ms: int) -> int | None:
    """The next time after now; None: there is none. For people."""
    schedule = push.schedule
    if not push.enabled:
        return None
    if schedule.kind == "once":
        due_ms = schedule.start_ms if schedule.start_ms is not None else first_published_ms
        return due_ms if last_due_ms is None and due_ms > now_ms else None
    after_ms = now_ms if schedule.start_ms is None else max(now_ms, schedule.start_ms - 1)
    due_ms_or_none = _cron(schedule.zone, schedule.cron).next(after_ms)
    if due_ms_or_none is None or (schedule.end_ms is not None and due_ms_or_none >= schedule.end_ms):
        return None
    return due_ms_or_none


def _once(
    schedule: Schedule, first_published_ms: int, last_due_ms: int | None, now_ms: int
) -> DueTime | None:
    due_ms = schedule.start_ms if schedule.start_ms is not None else first_published_ms
    if last_due_ms is not None or due_ms > now_ms:
        return None
    return DueTime(due_ms, 1, _is_skipped(schedule, max(due_ms, first_published_ms), now_ms))


def _is_skipped(schedule: Schedule, due_ms: int, now_ms: int) -> bool:
    return schedule.missed == "skip" and now_ms - due_ms >= AHEAD_MS


MOST_TIMES = 1_000
"""As far as missed times are counted."""


def _count(cron: Cron, after_ms: int, last_ms: int) -> int:
    count, at_ms = 0, cron.next(after_ms)
    while at_ms is not None and at_ms <= last_ms and count < MOST_TIMES:
        count, at_ms = count + 1, cron.next(at_ms)
    return count


@lru_cache(maxsize=256)
def _cron(zone: str, cron: str) -> Cron:
    return Cron(calendar_of(zone), cron)

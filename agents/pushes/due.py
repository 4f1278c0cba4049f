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


def due_time(push: Push, scheduled_ms: int, last_due_ms: int | None, now_ms: int) -> DueTime | None:
    """What is due at ``now_ms``, all missed times together; None: nothing.

    ``scheduled_ms`` is when the push was published with the schedule that it has now; ``last_due_ms`` the
    last time of its schedules that is in the ledger.
    """
    schedule = push.schedule
    if schedule.kind == "once":
        once_ms = _once_ms(schedule, scheduled_ms, last_due_ms)
        if once_ms is None or once_ms > now_ms:
            return None
        return DueTime(once_ms, 1, _is_skipped(schedule, max(once_ms, scheduled_ms), now_ms))
    after_ms = _after_ms(schedule, scheduled_ms, last_due_ms)
    until_ms = now_ms if schedule.end_ms is None else min(now_ms, schedule.end_ms - 1)
    cron = _cron(schedule.zone, schedule.cron)
    due_ms = cron.latest(until_ms)
    if due_ms is None or due_ms <= after_ms:
        return None
    return DueTime(due_ms, _count(cron, after_ms, due_ms), _is_skipped(schedule, due_ms, now_ms))


def first_due_ms(push: Push, scheduled_ms: int, last_due_ms: int | None) -> int | None:
    """The first time that has no run yet, passed or to come; None: there is none."""
    schedule = push.schedule
    if schedule.kind == "once":
        return _once_ms(schedule, scheduled_ms, last_due_ms)
    return _time_after(schedule, _after_ms(schedule, scheduled_ms, last_due_ms))


def next_due_ms(push: Push, scheduled_ms: int, last_due_ms: int | None, now_ms: int) -> int | None:
    """The next time after now; None: there is none. For people."""
    schedule = push.schedule
    if not push.enabled:
        return None
    if schedule.kind == "once":
        due_ms = _once_ms(schedule, scheduled_ms, last_due_ms)
        return due_ms if due_ms is not None and due_ms > now_ms else None
    return _time_after(schedule, _after_ms(schedule, now_ms, None))


def _once_ms(schedule: Schedule, scheduled_ms: int, last_due_ms: int | None) -> int | None:
    """A push that had its time has another one only where its author moves ``start`` into the future."""
    start_ms = schedule.start_ms
    if last_due_ms is None:
        return scheduled_ms if start_ms is None else start_ms
    if start_ms is None or start_ms <= max(last_due_ms, scheduled_ms):
        return None
    return start_ms


def _after_ms(schedule: Schedule, since_ms: int, last_due_ms: int | None) -> int:
    """After this instant the times come that have no run yet."""
    least_ms = since_ms if last_due_ms is None else max(since_ms, last_due_ms)
    return least_ms if schedule.start_ms is None else max(least_ms, schedule.start_ms - 1)


def _time_after(schedule: Schedule, after_ms: int) -> int | None:
    found_ms = _cron(schedule.zone, schedule.cron).next(after_ms)
    return found_ms if schedule.end_ms is None or found_ms is None or found_ms < schedule.end_ms else None


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

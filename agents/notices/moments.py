"""Which notices there are to send, from how far versions are: pure functions.

A version is *ready* when every partition of the table says so. A batch audience has notices for its latest
compute instant before each version was published, when that version is computed, and for every later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agents.backfill.progress.progress import Progress, ProgressOfVersions, VersionState, state_of
from agents.notices.notice import (
    BATCH_READY,
    COMPUTED,
    NOT_COMPUTED,
    NOT_SYNCED,
    REALTIME_FAILED,
    REALTIME_READY,
    Code,
    Notice,
    NoticeKey,
)
from rules.compile.audience import PublishedAudience
from rules.time.calendar import calendar_of
from rules.time.schedules import ComputeInstants, build_schedule


@dataclass(frozen=True, slots=True)
class Moment:
    """What is the same for all audiences: how large the table is, what time it is by the wall clock, and
    after which time without progress something counts as failed."""

    partitions: int
    now_ms: int
    stalled_ms: int


@dataclass(frozen=True, slots=True)
class Life:
    """The versions of an audience since it was last deleted, the oldest first."""

    versions: Sequence[PublishedAudience]

    @property
    def latest(self) -> PublishedAudience:
        return self.versions[-1]

    @classmethod
    def of(cls, versions: Mapping[int, PublishedAudience]) -> Life | None:
        """None: it is deleted."""
        found: list[PublishedAudience] = []
        for number in sorted(versions, reverse=True):
            if versions[number].deleted:
                break
            found.insert(0, versions[number])
        return cls(found) if found else None


def notices_of(
    life: Life, known: ProgressOfVersions, moment: Moment, from_ms: int, instants_from_ms: int = 0
) -> Iterator[Notice]:
    """All notices of an audience whose moment isn't before ``from_ms``; those that were sent, too.

    ``instants_from_ms``: compute instants before it are done with.
    """
    for published in life.versions:
        told = known.of(published.audience.project, published.audience.id, published.version)
        for notice in _of_version(published, told, moment, is_latest=published is life.latest):
            if notice.at_ms >= from_ms:
                yield notice
    if life.latest.audience.type == "batch":
        for notice in _of_instants(life, known, moment, max(from_ms, instants_from_ms)):
            if notice.at_ms >= from_ms:
                yield notice


def _of_version(
    published: PublishedAudience, told: Mapping[int, Progress], moment: Moment, *, is_latest: bool
) -> Iterator[Notice]:
    state = state_of(told, moment.partitions)
    instants = schedule_of(published)
    instant_ms = None if instants is None else instants.latest(published.created_ms)
    since_ms = max((each.since_ms or each.at_ms for each in told.values()), default=0)

    def notice(code: Code, at_ms: int, reason: str = "") -> Notice:
        audience = published.audience
        key = NoticeKey(audience.project, audience.id, published.version, instant_ms, code)
        return Notice(key, audience.name, published.version, at_ms, reason)

    if instants is not None and state.cut == state.partitions > 0:
        yield notice(COMPUTED, since_ms)
    if state.is_ready:
        yield notice(REALTIME_READY if instants is None else BATCH_READY, since_ms)
    elif is_latest and (failed := _failure(published, told, state, moment)) is not None:
        failure: Code = REALTIME_FAILED if instants is None else NOT_COMPUTED
        if instants is not None and state.state == "cut":
            failure = NOT_SYNCED
        yield notice(failure, *failed)


def _failure(
    published: PublishedAudience, told: Mapping[int, Progress], state: VersionState, moment: Moment
) -> tuple[int, str] | None:
    """When and why a version failed that isn't ready; None: it goes on, or waits for somebody's release."""
    if state.state == "failed":
        at_ms = max(each.since_ms or each.at_ms for each in told.values() if each.state == "failed")
        return at_ms, state.reason or "it can't be computed"
    moved_ms = max([published.created_ms, *(each.at_ms for each in told.values())])
    if state.state == "held" or moment.now_ms < moved_ms + moment.stalled_ms:
        return None
    done = f"{state.cut} of {state.partitions} partitions are done"
    return moved_ms + moment.stalled_ms, f"no progress for {moment.stalled_ms // 1000} s: {done}"


def _of_instants(life: Life, known: ProgressOfVersions, moment: Moment, from_ms: int) -> Iterator[Notice]:
    """Of the compute instants after the audience was created."""
    deciding = _deciding(life, known, moment.partitions)
    instants = None if deciding is None else schedule_of(deciding)
    if deciding is None or instants is None:
        return
    computed_ms, at_ms = _computed(life, known, moment.partitions)
    audience = deciding.audience

    def notice(code: Code, of_ms: int, told_ms: int, reason: str = "") -> Notice:
        key = NoticeKey(audience.project, audience.id, None, of_ms, code)
        return Notice(key, audience.name, deciding.version, told_ms, reason)

    # An instant before ``from_ms`` counts only if it was computed after it, so it can only be the last one.
    latest_ms = instants.latest(from_ms)
    begin_ms = max(life.versions[0].created_ms, from_ms - 1 if latest_ms is None else latest_ms - 1)
    due_ms = instants.next(begin_ms)
    while due_ms is not None and due_ms <= moment.now_ms:
        if computed_ms is not None and due_ms <= computed_ms:
            told_ms = at_ms if due_ms == computed_ms else due_ms
            yield notice(COMPUTED, due_ms, told_ms)
            yield notice(BATCH_READY, due_ms, told_ms)
        elif due_ms + moment.stalled_ms <= moment.now_ms:
            reason = f"not all partitions have computed it within {moment.stalled_ms // 1000} s"
            yield notice(NOT_COMPUTED, due_ms, due_ms + moment.stalled_ms, reason)
        due_ms = instants.next(due_ms)


def _deciding(life: Life, known: ProgressOfVersions, partitions: int) -> PublishedAudience | None:
    """The latest version that is ready in all partitions."""
    for each in reversed(life.versions):
        if known.state(each.audience.project, each.audience.id, each.version, partitions).is_ready:
            return each
    return None


def _computed(life: Life, known: ProgressOfVersions, partitions: int) -> tuple[int | None, int]:
    """The latest compute instant that all partitions have behind them, by whichever version, and when the
    last of them said so; None: some partition has none."""
    latest: dict[int, Progress] = {}
    for each in life.versions:
        for number, told in known.of(each.audience.project, each.audience.id, each.version).items():
            before = latest.get(number)
            if told.computed_ms is not None and (
                before is None or before.computed_ms is None or told.computed_ms > before.computed_ms
            ):
                latest[number] = told
    if not partitions or len(latest) < partitions:
        return None, 0
    computed = [each.computed_ms for each in latest.values() if each.computed_ms is not None]
    return min(computed), max(each.at_ms for each in latest.values())


def schedule_of(published: PublishedAudience) -> ComputeInstants | None:
    """The compute instants of a batch audience."""
    audience = published.audience
    if audience.schedule is None:
        return None
    return build_schedule(audience.schedule, calendar_of(audience.timezone), published.created_ms)

"""Deciding: what one record, or the passing of time, does to one user (docs/semantics.md, sections 2 and 9).

Every function takes the row and the instant, changes the row in place and appends transitions. Nothing
here reads a clock. A step happens at one instant and gives each audience's net change.

Invariant between steps: every timer at or before ``row.now_ms`` is decided, and no audience changes by time
before ``row.timer_ms``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from heapq import heappop, heappush

import msgspec

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.decide.take import take
from rules.state.condition import Event
from rules.state.profile_update import ProfileUpdate, change_attributes
from rules.state.row import Row, Transition, Trigger
from rules.time.instants import FAR_MS

TRIGGER_BYTES = 4096
"""Larger properties don't go along with the transitions that an event causes."""


def new_row(now_ms: int) -> Row:
    """The row of a user's first record at ``now_ms``."""
    return Row(now_ms, base_ms=now_ms, first=0)


def fire(rules: ProjectRules, user_id: str, row: Row, before_ms: int, out: list[Transition]) -> None:
    """Decide the user's timers due before ``before_ms``, each at its own instant, in order of time."""
    while row.timer_ms is not None and row.timer_ms < before_ms:
        at_ms, touched_by_time, later_ms = next_timers(rules, row)
        if at_ms >= before_ms:
            row.timer_ms = at_ms if at_ms < FAR_MS else None
            return
        row.now_ms = at_ms
        row.timer_ms = later_ms if later_ms < FAR_MS else None
        decide(rules, user_id, row, at_ms, touched_by_time, "time", None, out)


def next_timers(rules: ProjectRules, row: Row) -> tuple[int, list[int], int]:
    """When, after the row's last step, an audience may next change by time; which may; when others may."""
    now_ms, later_ms = row.now_ms, FAR_MS

    def changes(indexes: Iterable[int]) -> dict[int, int]:
        return {index: rules.audiences[index].decided.change(row, now_ms) for index in indexes}

    timers = changes(rules.by_time.of(row))
    for group in rules.by_time.batch_groups:
        computed_ms = group.schedule.next(now_ms)
        if computed_ms is None:
            continue
        if computed_ms <= min(timers.values(), default=FAR_MS):
            timers |= changes(group.of(row))
        else:
            later_ms = min(later_ms, computed_ms)  # others come first: it is looked at when they have
    at_ms = min(timers.values(), default=FAR_MS)
    touched_by_time = [index for index, timer_ms in timers.items() if timer_ms == at_ms]
    later_ms = min([later_ms, *(timer_ms for timer_ms in timers.values() if timer_ms > at_ms)])
    return at_ms, touched_by_time, later_ms


def apply_event(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    name: str,
    record_id: str | None,
    time_ms: int,
    properties: Mapping[str, object],
    now_ms: int,
    known: bool,
    out: list[Transition],
) -> bool:
    """One event at the partition clock's ``now_ms``. Earlier timers must have fired (``fire``).

    ``time_ms`` is the producer's; it is clamped to now. ``known`` is False for a user's first record:
    audiences that hold with no facts are entered, too. Says whether the row changed in anything that must
    be kept.
    """
    touched = _due_now(rules, row, now_ms, known)
    decided_ms = now_ms if row.now_ms == now_ms else now_ms - 1
    event = Event(name, properties, min(time_ms, now_ms), now_ms)
    changed, felt = not known, list[int]()
    for condition in rules.by_event.get(name, rules.any_event).concerned(properties):
        effect = take(condition, row, event, decided_ms)
        changed = changed or effect.is_changed
        # A batch audience looks at it at a compute instant: then it may count that the truth changes later.
        if effect.is_felt or (effect.is_changed and condition.key in rules.twins):
            felt.append(condition.key)
    for key in felt:
        touched += rules.readers[key].of(row.conditions)
    row.now_ms = now_ms
    if not touched:
        return changed
    before = len(out)
    kept = msgspec.json.encode(properties) if properties else b""
    trigger = Trigger(name, record_id, time_ms, kept if len(kept) <= TRIGGER_BYTES else b"")
    decide(rules, user_id, row, now_ms, touched, "event", trigger, out)
    return changed or len(out) > before


def apply_profile(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    update: ProfileUpdate,
    now_ms: int,
    known: bool,
    out: list[Transition],
) -> bool:
    """One profile update at ``now_ms``; as ``apply_event`` for the rest."""
    touched = _due_now(rules, row, now_ms, known)
    names = change_attributes(row, update, now_ms, rules.watched)
    for name in names:
        readers = rules.by_attribute.get(name)
        if readers is not None:
            touched += readers.of(row.conditions)
    row.now_ms = now_ms
    if touched:
        before = len(out)
        decide(rules, user_id, row, now_ms, touched, "profile", Trigger(None, update.id, update.time_ms), out)
        return not known or bool(names) or len(out) > before
    return not known or bool(names)


def _due_now(rules: ProjectRules, row: Row, now_ms: int, known: bool) -> list[int]:
    """The audiences that a record at ``now_ms`` must look at whatever it holds."""
    touched = [] if known else [*rules.initial]
    if row.timer_ms is not None and row.timer_ms <= now_ms:
        # A timer due at this very instant is decided in one step with the record.
        touched += rules.by_time.of(row)
        for group in rules.by_time.batch_groups:
            touched += group.of(row)
        row.timer_ms = None
    return touched


def decide(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    at_ms: int,
    touched: Iterable[int],
    cause: str,
    trigger: Trigger | None,
    out: list[Transition],
    computed_now: Collection[int] = (),
) -> None:
    """Compare the touched audiences' rules with the user's memberships; write what differs.

    Audiences come after those that they ask about, so one pass decides them all. ``computed_now``: indexes of
    batch audiences that are computed now, whatever their schedules.
    """
    timer_ms = FAR_MS if row.timer_ms is None else row.timer_ms
    emitted = len(out)
    waiting = sorted(set(touched))
    last = -1
    while waiting:
        index = heappop(waiting)
        if index == last:
            continue
        last = index
        audience = rules.audiences[index]
        timer_ms = min(timer_ms, audience.decided.change(row, at_ms))
        rule = audience.rule if index in computed_now else audience.decided
        if rule.truth(row, at_ms) == row.is_in(audience.key):
            continue
        out.append(transition_of(rules, user_id, row, audience, at_ms, cause, trigger))
        for dependent in audience.dependents:
            heappush(waiting, dependent)
    row.timer_ms = timer_ms if timer_ms < FAR_MS else None
    if rules.is_nested and len(out) > emitted + 1:
        out[emitted:] = sorted(out[emitted:], key=_by_audience)


def transition_of(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    audience: CompiledAudience,
    at_ms: int,
    cause: str,
    trigger: Trigger | None,
    entered_ms: int | None = None,
    is_bound: bool = False,
) -> Transition:
    """The user enters the audience, or leaves it: note it in the row, and tell it.

    ``entered_ms``: when a stay began that is noticed only now, at ``at_ms``; ``is_bound``: then or earlier.
    """
    before = row.audiences.get(audience.key)
    if before is not None and before.inside:
        entered_at_ms, since_ms = row.since_ms(before), at_ms
    else:
        entered_at_ms = since_ms = at_ms if entered_ms is None else entered_ms
    membership = row.turn(audience.key, audience.version, since_ms)
    return Transition(
        audience.project,
        audience.id,
        audience.name,
        audience.version,
        user_id,
        membership.seq,
        at_ms,
        cause,
        trigger,
        entered_at_ms,
        predict_exit(rules, audience, row, row.now_ms) if membership.inside else None,
        is_bound,
    )


def _by_audience(transition: Transition) -> str:
    return transition.audience

"""Deciding: what one record, or the passing of time, does to one user (spec: rules.md, sections 2 and 9).

Every function takes the row and the instant, changes the row in place and appends transitions. Nothing
here reads a clock. A step happens at one instant and gives each audience's net change.

Invariant between steps: every flip at or before ``row.now_ms`` is decided, and no condition flips
before ``row.due_ms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from rules.compile import CompiledAudience, ProjectRules
from rules.condition import CHANGED, IGNORED, KEPT
from rules.row import Membership, Row, Transition, Trigger

PREDICTION_STEPS = 1000
"""How many flips ``predict_exit`` looks ahead before it gives up and says null."""


class Event(msgspec.Struct, gc=False):
    """A behavioural event, checked and decoded. ``time_ms`` is the producer's; it is clamped to now."""

    name: str
    id: str | None
    time_ms: int
    properties: Mapping[str, object]


class ProfileUpdate(msgspec.Struct, gc=False):
    """A change of attributes (spec: contracts.md, section 1), applied in this order."""

    id: str | None
    time_ms: int
    set: Mapping[str, object]
    set_once: Mapping[str, object]
    unset: Iterable[str]
    add: Mapping[str, float | int]


def new_row(now_ms: int) -> Row:
    """The row of a user's first record at ``now_ms``."""
    return Row(
        now_ms=now_ms, applied={}, conditions={}, audiences={}, attributes={}, changed_ms={}, identities={}
    )


def fire(rules: ProjectRules, user_id: str, row: Row, before_ms: int, out: list[Transition]) -> None:
    """Decide the user's flips due before ``before_ms``, each at its own instant, in order of time."""
    while row.due_ms is not None and row.due_ms < before_ms:
        flip_ms, flipping = next_flips(rules, row)
        row.due_ms = flip_ms
        if flip_ms is None or flip_ms >= before_ms:
            return
        row.now_ms = flip_ms
        decide(rules, user_id, row, flip_ms, flipping, "time", None, out)


def next_flips(rules: ProjectRules, row: Row) -> tuple[int | None, set[int]]:
    """The next instant after the row's last step at which a condition flips, and the audiences to look at."""
    earliest: int | None = None
    touched: set[int] = set()
    conditions = rules.conditions
    for key, state in row.conditions.items():
        condition = conditions.get(key)
        if condition is None:
            continue
        flip_ms = condition.next_flip(state, row.now_ms)
        if flip_ms is None:
            continue
        if earliest is None or flip_ms < earliest:
            earliest = flip_ms
            touched = set(condition.audiences)
        elif flip_ms == earliest:
            touched.update(condition.audiences)
    return earliest, touched


def apply_event(
    rules: ProjectRules, user_id: str, row: Row, event: Event, now_ms: int, known: bool, out: list[Transition]
) -> bool:
    """One event at the partition clock's ``now_ms``. Earlier flips must have fired (``fire``).

    ``known`` is False for a user's first record: audiences that hold with no facts are entered, too.
    Says whether the row changed in anything that must be kept.
    """
    changed = not known
    touched: set[int] | None = None if known else set(rules.initial)
    decided_ms = row.now_ms if row.now_ms == now_ms else now_ms - 1
    due_ms = row.due_ms
    if due_ms is not None and due_ms <= now_ms:
        touched = _due_now(rules, row, now_ms, touched)
        due_ms = None
        reindex = True
    else:
        reindex = False
    conditions = rules.by_event.get(event.name, rules.any_event)
    if conditions:
        states = row.conditions
        properties = event.properties
        event_ms = event.time_ms if event.time_ms < now_ms else now_ms
        for condition in conditions:
            where = condition.where
            if where is not None and not where(properties):
                continue
            said = condition.observe(states, event_ms, properties, decided_ms, now_ms)
            if said == IGNORED:
                continue
            changed = True
            if said == KEPT:
                continue
            if said == CHANGED:
                if touched is None:
                    touched = set(condition.audiences)
                else:
                    touched.update(condition.audiences)
            if not reindex:
                state = states.get(condition.key)
                flip_ms = condition.next_flip(state, now_ms) if state is not None else None
                if flip_ms is not None and (due_ms is None or flip_ms < due_ms):
                    due_ms = flip_ms
    row.now_ms = now_ms
    row.due_ms = next_flips(rules, row)[0] if reindex else due_ms
    if touched:
        trigger = Trigger(event.name, event.id, event.time_ms)
        decided = len(out)
        decide(rules, user_id, row, now_ms, touched, "event", trigger, out)
        changed = changed or len(out) > decided
    return changed


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
    touched: set[int] | None = None if known else set(rules.initial)
    reindex = row.due_ms is not None and row.due_ms <= now_ms
    if reindex:
        touched = _due_now(rules, row, now_ms, touched)
    names = change_attributes(row, update, now_ms)
    for name in names:
        readers = rules.by_attribute.get(name)
        if readers:
            touched = set(readers) if touched is None else touched | set(readers)
    row.now_ms = now_ms
    if reindex:
        row.due_ms = next_flips(rules, row)[0]
    if touched:
        trigger = Trigger(None, update.id, update.time_ms)
        decided = len(out)
        decide(rules, user_id, row, now_ms, touched, "profile", trigger, out)
        return not known or bool(names) or len(out) > decided
    return not known or bool(names)


def change_attributes(row: Row, update: ProfileUpdate, now_ms: int) -> list[str]:
    """Apply ``set``, ``set_once``, ``add``, ``unset``; the names whose value is another than before."""
    attributes = row.attributes
    changed: list[str] = []
    for name, value in update.set.items():
        if name not in attributes or not same_value(attributes[name], value):
            attributes[name] = value
            changed.append(name)
    for name, value in update.set_once.items():
        if name not in attributes:
            attributes[name] = value
            changed.append(name)
    for name, amount in update.add.items():
        current = attributes.get(name)
        number = current if type(current) is int or type(current) is float else 0
        total = _bounded_sum(number, amount)
        if name not in attributes or not same_value(current, total):
            attributes[name] = total
            changed.append(name)
    for name in update.unset:
        if name in attributes:
            del attributes[name]
            changed.append(name)
    for name in changed:
        row.changed_ms[name] = now_ms
    return changed


def same_value(one: object, other: object) -> bool:
    """Equal as JSON values: ``1`` is ``1.0``, ``true`` is not ``1``, inside arrays and objects too."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[name], other[name]) for name in one)
    return one == other


def redefine(
    rules: ProjectRules, user_id: str, row: Row, now_ms: int, cause: str, out: list[Transition]
) -> None:
    """Look at every audience again after definitions changed: the difference comes out, nothing else."""
    fire(rules, user_id, row, now_ms, out)
    fired = len(out)
    for key in [key for key in row.conditions if key not in rules.conditions]:
        del row.conditions[key]
    row.now_ms = max(row.now_ms, now_ms)
    row.due_ms = next_flips(rules, row)[0]
    decide(rules, user_id, row, now_ms, range(len(rules.audiences)), cause, None, out)
    left = [
        (rules.gone[key], key)
        for key, membership in row.audiences.items()
        if membership.seq % 2 == 1 and key in rules.gone
    ]
    for published, key in left:
        membership = row.audiences[key]
        source = published.audience
        membership.seq += 1
        out.append(
            Transition(
                project=source.project,
                audience=source.id,
                audience_name=source.name,
                audience_version=published.version,
                user_id=user_id,
                seq=membership.seq,
                at_ms=now_ms,
                cause=cause,
                trigger=None,
                entered_at_ms=membership.since_ms,
                exit_at_ms=None,
            )
        )
        membership.since_ms = now_ms
        membership.version = published.version
    out[fired:] = sorted(out[fired:], key=lambda each: each.audience)


def decide(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    at_ms: int,
    touched: Iterable[int],
    cause: str,
    trigger: Trigger | None,
    out: list[Transition],
) -> None:
    """Compare the touched audiences' rules with the user's memberships; write what differs."""
    audiences = rules.audiences
    memberships = row.audiences
    for index in sorted(touched):
        audience = audiences[index]
        membership = memberships.get(audience.key)
        inside = membership is not None and membership.seq % 2 == 1
        if audience.truth(row, at_ms) == inside:
            continue
        if membership is None:
            membership = memberships[audience.key] = Membership(0, at_ms, audience.version)
        membership.seq += 1
        out.append(
            Transition(
                project=audience.project,
                audience=audience.id,
                audience_name=audience.name,
                audience_version=audience.version,
                user_id=user_id,
                seq=membership.seq,
                at_ms=at_ms,
                cause=cause,
                trigger=trigger,
                entered_at_ms=membership.since_ms if inside else at_ms,
                exit_at_ms=None if inside else predict_exit(audience, row, at_ms),
            )
        )
        membership.since_ms = at_ms
        membership.version = audience.version


def predict_exit(audience: CompiledAudience, row: Row, at_ms: int) -> int | None:
    """When the rule turns false if nothing more happens; None: never, or not in PREDICTION_STEPS flips."""
    states = [(each, row.conditions[each.key]) for each in audience.conditions if each.key in row.conditions]
    for _ in range(PREDICTION_STEPS):
        flips = [flip for each, state in states if (flip := each.next_flip(state, at_ms)) is not None]
        if not flips:
            return None
        at_ms = min(flips)
        if not audience.truth(row, at_ms):
            return at_ms
    return None


def _due_now(rules: ProjectRules, row: Row, now_ms: int, touched: set[int] | None) -> set[int]:
    """Audiences whose conditions flip at ``now_ms``: decided in one step with the record."""
    found = set() if touched is None else touched
    if row.now_ms == now_ms:
        return found  # an earlier record of this instant decided them
    for key, state in row.conditions.items():
        condition = rules.conditions.get(key)
        if condition is not None and condition.next_flip(state, now_ms - 1) == now_ms:
            found.update(condition.audiences)
    return found


def _bounded_sum(one: float | int, other: float | int) -> float | int:
    """A sum that stays a 64-bit whole number or a finite float, whatever is added."""
    total = one + other
    if type(total) is int and not -(2**63) <= total < 2**63:
        total = float(total)
    if type(total) is float and not -1.7e308 < total < 1.7e308:
        return one
    return total

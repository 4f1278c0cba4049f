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
from rules.condition import FAR_MS
from rules.row import Membership, Row, Transition, Trigger

PREDICTION_STEPS = 1000
"""How many flips ``predict_exit`` looks ahead before it gives up and says null."""


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


def next_flips(rules: ProjectRules, row: Row) -> tuple[int | None, list[int]]:
    """The next instant after the row's last step at which a condition flips, and the audiences to look at."""
    earliest = FAR_MS
    touched: list[int] = []
    flips, now_ms = rules.flips, row.now_ms
    for key, state in row.conditions.items():
        found = flips.get(key)
        if found is None:
            continue
        next_flip, audiences = found
        flip_ms = next_flip(state, now_ms)
        if flip_ms is None or flip_ms > earliest:
            continue
        if flip_ms < earliest:
            earliest = flip_ms
            touched = [*audiences]
        else:
            touched += audiences
    return (earliest if earliest < FAR_MS else None), touched


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
    """One event at the partition clock's ``now_ms``. Earlier flips must have fired (``fire``).

    ``time_ms`` is the producer's; it is clamped to now. ``known`` is False for a user's first record:
    audiences that hold with no facts are entered, too. Says whether the row changed in anything that must
    be kept.
    """
    touched: list[int] = [] if known else [*rules.initial]
    decided_ms = row.now_ms if row.now_ms == now_ms else now_ms - 1
    due_ms = FAR_MS if row.due_ms is None else row.due_ms
    reindex = due_ms <= now_ms
    if reindex:
        _due_now(rules, row, now_ms, touched)
    changed = not known
    index = rules.by_event.get(name, rules.any_event)
    observers = index.always
    for attribute, by_value in index.by_value:
        value = properties.get(attribute)
        if type(value) is str and value in by_value:
            observers = observers + by_value[value]
    event_ms = time_ms if time_ms < now_ms else now_ms
    for observe in observers:
        flip_ms = observe(row, properties, event_ms, decided_ms, now_ms, touched)
        if flip_ms:
            changed = True
            if flip_ms < due_ms:
                due_ms = flip_ms
    row.now_ms = now_ms
    if reindex:
        row.due_ms = next_flips(rules, row)[0]
    elif due_ms < FAR_MS:
        row.due_ms = due_ms
    if touched:
        before = len(out)
        decide(rules, user_id, row, now_ms, touched, "event", Trigger(name, record_id, time_ms), out)
        return changed or len(out) > before
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
    touched: list[int] = [] if known else [*rules.initial]
    reindex = row.due_ms is not None and row.due_ms <= now_ms
    if reindex:
        _due_now(rules, row, now_ms, touched)
    names = change_attributes(row, update, now_ms)
    for name in names:
        touched += rules.by_attribute.get(name, ())
    row.now_ms = now_ms
    if reindex:
        row.due_ms = next_flips(rules, row)[0]
    if touched:
        before = len(out)
        decide(rules, user_id, row, now_ms, touched, "profile", Trigger(None, update.id, update.time_ms), out)
        return not known or bool(names) or len(out) > before
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
    for index in sorted(set(touched)):
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


def _due_now(rules: ProjectRules, row: Row, now_ms: int, touched: list[int]) -> None:
    """Audiences whose conditions flip at ``now_ms``: decided in one step with the record."""
    if row.now_ms == now_ms:
        return  # an earlier record of this instant decided them
    flips = rules.flips
    for key, state in row.conditions.items():
        found = flips.get(key)
        if found is not None and found[0](state, now_ms - 1) == now_ms:
            touched += found[1]


def _bounded_sum(one: float | int, other: float | int) -> float | int:
    """A sum that stays a 64-bit whole number or a finite float, whatever is added."""
    total = one + other
    if type(total) is int and not -(2**63) <= total < 2**63:
        total = float(total)
    if type(total) is float and not -1.7e308 < total < 1.7e308:
        return one
    return total

"""What changed definitions do to one user: the difference comes out, nothing else (spec: section 9).

What a new batch audience asks of events it may find in the state that others keep of the same conditions. One
that is computed once and comes to the row after its instant is decided at that instant if the row hasn't gone
past it, otherwise at once, by what is known then: without that it would never be decided.
"""

from __future__ import annotations

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.conditions.batch import BatchCondition
from rules.conditions.build import build_condition
from rules.decide.decide import decide, fire
from rules.state.condition import AnyCondition
from rules.state.row import Row, State, Transition
from rules.time.instants import FAR_MS
from rules.time.schedules import Once


def redefine(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    now_ms: int,
    cause: str,
    out: list[Transition],
    swept_ms: int = FAR_MS,
    deleted_ms: int | None = None,
) -> bool:
    """Look at every audience again after definitions changed. Whether the row changed in what must be kept.

    ``swept_ms``: audiences published later are new to the row. ``deleted_ms``: when deleted ones went, which
    nothing that came since can change; None: now.
    """
    emitted, kept = len(out), _kept(row)
    new = [
        rules.audiences[each]
        for each in rules.batch_audiences
        if rules.audiences[each].published_ms > swept_ms
    ]
    computed_now = _begin(rules, new, row, now_ms) if new else ()
    fire(rules, user_id, row, now_ms, out)
    fired = len(out)
    for key in [key for key in row.conditions if key not in rules.conditions]:
        del row.conditions[key]
    if row.changed_paths:
        watched = {".".join(path) for paths in rules.watched.values() for path in paths}
        for name in row.changed_paths.keys() - watched:
            del row.changed_paths[name]
    row.now_ms = max(row.now_ms, now_ms)
    row.timer_ms = None
    decide(rules, user_id, row, now_ms, range(len(rules.audiences)), cause, None, out, computed_now)
    leave_deleted(rules, user_id, row, now_ms if deleted_ms is None else deleted_ms, cause, out)
    out[fired:] = sorted(out[fired:], key=_by_audience)
    return len(out) > emitted or _kept(row) != kept


def _kept(row: Row) -> tuple[set[int], set[str]]:
    return set(row.conditions), set(row.changed_paths)


def _begin(rules: ProjectRules, new: list[CompiledAudience], row: Row, now_ms: int) -> list[int]:
    """Give new batch audiences what is known already; those (indexes) that must be decided at ``now_ms``."""
    computed_now: list[int] = []
    for audience in new:
        for key, _ in audience.leaves:
            twin = None if key is None else rules.twins.get(key)
            if key is not None and twin in row.conditions and key not in row.conditions:
                row.conditions[key] = _taken_over(rules.conditions[key], row, row.conditions[twin])
        if not isinstance(audience.schedule, Once):
            continue
        at_ms = audience.schedule.created_ms
        membership = row.audiences.get(audience.key)
        if row.now_ms < at_ms < now_ms:
            row.timer_ms = at_ms if row.timer_ms is None else min(row.timer_ms, at_ms)
        elif at_ms < now_ms and (membership is None or membership.version != audience.version):
            computed_now.append(audience.index)
    return computed_now


def _taken_over(condition: AnyCondition, row: Row, state: State) -> State:
    """A state that a realtime audience's condition left, which no audience may have any more, as that of the
    same condition of a batch audience."""
    kept = build_condition("", condition.source, condition.max_samples).plain(row, state)
    return [kept] if isinstance(condition, BatchCondition) else kept


def leave_deleted(
    rules: ProjectRules, user_id: str, row: Row, now_ms: int, cause: str, out: list[Transition]
) -> None:
    """The user leaves the audiences that are deleted."""
    left = [
        (rules.gone[key], key)
        for key, membership in row.audiences.items()
        if membership.inside and key in rules.gone
    ]
    for published, key in left:
        entered_at_ms = row.since_ms(row.audiences[key])
        membership = row.turn(key, row.audiences[key].version, now_ms)
        source = published.audience
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
                entered_at_ms=entered_at_ms,
                exit_at_ms=None,
            )
        )
        membership.version = published.version


def _by_audience(transition: Transition) -> str:
    return transition.audience

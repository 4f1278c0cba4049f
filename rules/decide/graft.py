"""Grafting: what a shadow found goes into a user's live row (docs/semantics.md, section 8a).

States of new conditions are copied, and the truth is compared with the membership; the difference comes out.
``seq`` and whether the user is in are never copied, because consumers know the live ones.
"""

from __future__ import annotations

from typing import Any

from rules.compile.audience import CompiledAudience
from rules.compile.graft_plan import Graft
from rules.compile.project_rules import ProjectRules
from rules.decide.decide import decide, fire, transition_of
from rules.decide.redefine import leave_deleted
from rules.state.dedupe import remember_too
from rules.state.event_times import instants, references
from rules.state.row import Row, State, Transition
from rules.time.instants import FAR_MS


def seed(rules: ProjectRules, user_id: str, live: Row, begin_ms: int, now_ms: int) -> Row | None:
    """The shadow's row of a user of whom the live row knows more than the shadow has read.

    As if the shadow had seen the user's first record, and of earlier attributes those that have been the same
    since ``begin_ms``, where its history begins (0: with the first record that ever was). None: at ``now_ms``
    the user had not come yet.
    """
    first_ms = known_since_ms(live)
    is_short = live.first is None and begin_ms > 0  # the first record may have been any of those before
    if first_ms > now_ms and not is_short:
        return None
    start_ms = min(max(first_ms, begin_ms), now_ms)
    row = Row(start_ms, base_ms=start_ms, first=None if live.first is None else first_ms - start_ms)
    for name, changed_ms in live.changed_ms.items():
        if changed_ms < begin_ms:
            row.changed_ms[name] = changed_ms
            if name in live.attributes:
                row.attributes[name] = live.attributes[name]
    for name, changed_ms in live.changed_paths.items():
        if changed_ms < begin_ms:
            row.changed_paths[name] = changed_ms
    decide(rules, user_id, row, start_ms, range(len(rules.audiences)), "backfill", None, [])
    fire(rules, user_id, row, now_ms, [])
    return row


def known_since_ms(row: Row) -> int:
    """When the user's first record came; if the row doesn't say it, the earliest instant that it tells of."""
    if row.first_ms is not None:
        return row.first_ms
    told = [row.since_ms(each) for each in row.audiences.values()]
    return min([row.now_ms, row.base_ms, *told, *row.changed_ms.values()])


def graft(
    rules: ProjectRules,
    user_id: str,
    live: Row,
    shadow: Row,
    plan: Graft,
    cut_ms: int,
    out: list[Transition],
    has_history: bool = False,
    knows_more: bool = False,
) -> bool:
    """Take a shadow's row into the live one of the same user; whether the live row changed.

    Both rows are decided up to the cut: every timer before ``cut_ms``, the partition's stream time there, has
    fired. The shadow's row may be changed. ``rules`` are those from the cut on. ``has_history``: the shadow
    has records of the user that the live stream never had; ``knows_more``: besides all profile updates of
    the live stream.
    """
    timer_ms = live.timer_ms
    decided_ms = max(live.now_ms, shadow.now_ms, cut_ms - 1)
    changed = _take_states(rules, live, shadow, plan)
    changed = _take_attributes(rules, live, shadow, knows_more) or changed
    changed = _take_person(live, shadow) or changed
    if has_history:
        changed = remember_too(live, shadow) or changed
    live.now_ms = decided_ms
    live.timer_ms = None
    emitted, timer = len(out), FAR_MS
    for audience in rules.audiences:
        changed = _decide(rules, user_id, live, shadow, audience, plan, cut_ms, out) or changed
    for audience in rules.audiences:
        timer = min(timer, audience.decided.change(live, decided_ms))
    leave_deleted(rules, user_id, live, cut_ms, "definition", out)
    live.timer_ms = timer if timer < FAR_MS else None
    out[emitted:] = sorted(out[emitted:], key=_by_audience)
    return changed or len(out) > emitted or live.timer_ms != timer_ms


def _decide(
    rules: ProjectRules,
    user_id: str,
    live: Row,
    shadow: Row,
    audience: CompiledAudience,
    plan: Graft,
    cut_ms: int,
    out: list[Transition],
) -> bool:
    """Compare one audience's truth with the membership; whether the membership changed."""
    key = audience.key
    is_target = key in plan.targets
    found = shadow.audiences.get(key)
    was_in = live.is_in(key)
    # Between compute instants a batch audience's value is what the latest one left: only the shadow knows it.
    is_held = is_target and audience.schedule is not None
    is_in = shadow.is_in(key) if is_held else audience.decided.truth(live, live.now_ms)
    since_ms = cut_ms
    if found is not None and found.inside:
        since_ms = min(shadow.since_ms(found), cut_ms)
    if is_in and was_in:
        membership = live.audiences[key]
        before = membership.since_ms, membership.version
        if is_target:
            membership.version = audience.version
        elif found is None or not found.inside:
            return False
        elif _is_bound(live, shadow, plan, key, since_ms):  # the live row may know more of the stay, not less
            since_ms = min(live.since_ms(membership), plan.exact_ms.get(key, since_ms))
        membership.since_ms = since_ms - live.base_ms
        return before != (membership.since_ms, membership.version)
    if is_in == was_in:
        return False
    cause = plan.targets.get(key, "backfill")
    is_bound = is_in and is_target and _is_bound(live, shadow, plan, key, since_ms)
    made = transition_of(rules, user_id, live, audience, cut_ms, cause, None, since_ms, is_bound)
    if not (is_in and key in plan.silent):
        out.append(made)
    return True


def _is_bound(live: Row, shadow: Row, plan: Graft, key: int, since_ms: int) -> bool:
    """Whether a stay that the shadow found may have begun before ``since_ms``."""
    first_ms = shadow.first_ms
    if first_ms is None:  # nor is it known when the user came
        return since_ms <= max(known_since_ms(live), plan.exact_ms.get(key, plan.begin_ms))
    return first_ms < plan.begin_ms and since_ms <= plan.exact_ms.get(key, plan.begin_ms)


def _take_states(rules: ProjectRules, live: Row, shadow: Row, plan: Graft) -> bool:
    changed = False
    for key in plan.fresh:
        state = shadow.conditions.get(key)
        if state is not None:
            live.conditions[key] = _moved(state, shadow, live)
            changed = True
        elif live.conditions.pop(key, None) is not None:
            changed = True
    for key in [key for key in live.conditions if key not in rules.conditions]:
        del live.conditions[key]
        changed = True
    return changed


def _take_person(live: Row, shadow: Row) -> bool:
    """What only the history knows: that the user came before the live stream began."""
    changed = False
    if live.first_ms is not None and shadow.first_ms is not None and shadow.first_ms < live.first_ms:
        live.first = shadow.first_ms - live.base_ms
        changed = True
    return changed


def _take_attributes(rules: ProjectRules, live: Row, shadow: Row, knows_more: bool) -> bool:
    """What only the history knows of attributes, and the changes of paths that only new rules watch."""
    changed = False
    for name, changed_ms in shadow.changed_ms.items():
        if name not in live.changed_ms or (knows_more and _differs(live, shadow, name)):
            live.changed_ms[name] = changed_ms
            live.attributes.pop(name, None)
            if name in shadow.attributes:
                live.attributes[name] = shadow.attributes[name]
            changed = True
    watched = {".".join(path) for paths in rules.watched.values() for path in paths}
    for name in live.changed_paths.keys() - watched:
        del live.changed_paths[name]
        changed = True
    for name in shadow.changed_paths.keys() & watched:
        known_ms = live.changed_paths.get(name)
        if known_ms is None or (knows_more and known_ms != shadow.changed_paths[name]):
            live.changed_paths[name] = shadow.changed_paths[name]
            changed = True
    return changed


def _differs(live: Row, shadow: Row, name: str) -> bool:
    mine, its = live.attributes.get(name), shadow.attributes.get(name)
    is_other = type(mine) is not type(its) or mine != its
    return is_other or live.changed_ms[name] != shadow.changed_ms[name]


def _moved(state: Any, source: Row, target: Row) -> State:
    """A state of one row as a state of another: the references that it has name the other row's times."""
    if isinstance(state, str):
        return references(target, instants(source, state))
    match state:
        case [str() as refs, list(), *_]:
            return [references(target, instants(source, refs)), *state[1:]]
        case _:
            moved: State = state
            return moved


def _by_audience(transition: Transition) -> str:
    return transition.audience

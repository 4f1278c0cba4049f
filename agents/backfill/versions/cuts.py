"""From pending versions to the cut of a partition: what is grafted, and what the note says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.backfill.versions.catalog import Active, Catalog
from agents.backfill.versions.pending import Target, closure
from agents.evaluate.pipeline import Pipeline
from rules.compile.graft_plan import Graft, plan_graft
from rules.compile.rule_set import RuleSet
from rules.model.lookback import events_begin_ms
from rules.state.row import Cause
from tables.cut import Cut

Short = Mapping[str, Mapping[int, int]]
"""``Cut.short``."""


@dataclass(frozen=True, slots=True)
class Computation:
    """What a shadow computes, and what of it is grafted."""

    targets: tuple[Target, ...]
    active: Active
    """The versions in force after the cut."""
    rules: RuleSet
    grafts: Mapping[str, Graft]
    """By project."""
    audiences: Sequence[str]
    """All that the shadow computes (``project/id``): targets, what asks about them, what they ask about."""
    begin_ms: int


def computation_of(
    catalog: Catalog, active: Active, targets: tuple[Target, ...], short: Short, begin_ms: int
) -> Computation:
    """Bring ``active`` to the targets' versions. ``short``: of the partition's last cut."""
    after = {**active, **{each.audience: each.version for each in targets}}
    old, new = catalog.rules(active), catalog.rules(after)
    grafts: dict[str, Graft] = {}
    audiences: set[str] = set()
    for project in sorted({each.audience.split("/", 1)[0] for each in targets}):
        mine = [each for each in targets if each.audience.startswith(f"{project}/")]
        changed: dict[str, Cause] = {_id(each): each.cause for each in mine}
        recompute = [_id(each) for each in mine if each.is_rebuild]
        graft = plan_graft(
            old.project(project), new.project(project), changed, recompute, short.get(project, {}), begin_ms
        )
        grafts[project] = graft
        by_key = new.project(project).by_key
        audiences.update(f"{project}/{by_key[key].id}" for key in graft.targets)
    return Computation(targets, after, new, grafts, closure(catalog, after, audiences), begin_ms)


def cut_of(pipeline: Pipeline, made: Computation, shadow: str) -> Cut:
    """The note of a cut that grafts what ``made`` computed. ``shadow``: the name of its store."""
    last = pipeline.last_cut or Cut()
    return Cut(
        epoch=last.epoch + 1,
        active=dict(made.active),
        stream_time_ms=pipeline.stream_time_ms,
        positions=dict(pipeline.positions.offsets),
        shadow=shadow,
        begin_ms=made.begin_ms,
        targets={project: dict(each.targets) for project, each in made.grafts.items()},
        fresh={project: sorted(each.fresh) for project, each in made.grafts.items()},
        silent={project: sorted(each.silent) for project, each in made.grafts.items()},
        short=_short_after(last.short, made, pipeline.stream_time_ms),
    )


def cut_at_once(pipeline: Pipeline, active: Active, rules: RuleSet, short: Short | None = None) -> Cut:
    """The note of a cut without a shadow. ``short``: instead of the last cut's."""
    last = pipeline.last_cut or Cut()
    kept = last.short if short is None else short
    return Cut(
        epoch=last.epoch,
        active=dict(active),
        stream_time_ms=pipeline.stream_time_ms,
        positions=dict(pipeline.positions.offsets),
        short=_still_there(kept, rules),
    )


def everything_short(rules: RuleSet, from_ms: int) -> dict[str, dict[int, int]]:
    """All conditions of rules whose states nobody knows to be whole."""
    return {name: dict.fromkeys(each.conditions, from_ms) for name, each in rules.projects.items()}


def new_and_short(old: RuleSet, new: RuleSet, before: Short, from_ms: int) -> dict[str, dict[int, int]]:
    """``before``, with the conditions that begin empty at ``from_ms``."""
    found = {project: dict(each) for project, each in before.items()}
    for name, rules in new.projects.items():
        fresh = rules.conditions.keys() - old.project(name).conditions.keys()
        found.setdefault(name, {}).update(dict.fromkeys(fresh, from_ms))
    return found


def _short_after(before: Short, made: Computation, at_ms: int) -> dict[str, dict[int, int]]:
    found = {project: dict(each) for project, each in before.items()}
    for project, graft in made.grafts.items():
        mine, conditions = found.setdefault(project, {}), made.rules.project(project).conditions
        for key in graft.fresh:
            mine.pop(key, None)
            looks_to_ms = events_begin_ms(conditions[key].source, at_ms)
            if made.begin_ms and (looks_to_ms is None or looks_to_ms < made.begin_ms):
                mine[key] = made.begin_ms
    return _still_there(found, made.rules)


def _still_there(short: Short, rules: RuleSet) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for project, each in short.items():
        known = rules.project(project).conditions
        if kept := {key: begin_ms for key, begin_ms in each.items() if key in known}:
            found[project] = kept
    return found


def _id(target: Target) -> str:
    return target.audience.split("/", 1)[1]

"""The audience that a request asks for, where it is ready."""

from __future__ import annotations

from difflib import get_close_matches

from agents.backfill.progress.progress import VersionState
from app.http.problems import HttpProblem
from app.worker.askable import Asked
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.compile.rule_set import RuleSet


def audience_of(rules: RuleSet, project: str, audience_id: str) -> tuple[ProjectRules, CompiledAudience]:
    """The audience with this id. Raises HttpProblem when there is none."""
    found = rules.project(project)
    audience = found.by_id(audience_id)
    if audience is not None:
        return found, audience
    near = get_close_matches(audience_id, [each.id for each in found.audiences], n=1)
    raise HttpProblem(
        404,
        "No such audience",
        f"project {project!r} has no audience {audience_id!r}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )


class AudienceNotReady(Exception):
    """Nobody can say yet who is in an audience."""

    def __init__(self, state: VersionState) -> None:
        super().__init__(state.state)
        self.state = state


def deciding_version(worker: Asked, rules: RuleSet, audience: CompiledAudience) -> CompiledAudience:
    """The version that decides where ``rules`` are in force; ``audience`` is the latest one.

    Raises AudienceNotReady for a new audience whose past is still computed. An edited one answers by the
    version before, until its partition is cut.
    """
    deciding = rules.project(audience.project).by_id(audience.id)
    name = f"{audience.project}/{audience.id}".encode()
    earlier = worker.feed.versions.get(name, {}).get(audience.version - 1)
    if deciding is not None and earlier is not None and not earlier.deleted:
        return deciding
    state = worker.past.upkeep.state(audience.project, audience.id, audience.version)
    if deciding is None or not state.is_ready:
        raise AudienceNotReady(state)
    return deciding


def require_ready(worker: Asked, rules: RuleSet, audience: CompiledAudience) -> CompiledAudience:
    """The same. Raises HttpProblem while the audience isn't ready."""
    try:
        return deciding_version(worker, rules, audience)
    except AudienceNotReady as waiting:
        raise not_ready(audience.id, waiting.state) from None


def not_ready(audience_id: str, state: VersionState | None = None) -> HttpProblem:
    detail = f"who is in {audience_id!r} is still being computed"
    if state is not None:
        detail += f": {state.state}, {state.progress:.0%} of its history is read"
        detail += f" ({state.reason})" if state.reason else ""
    return HttpProblem(409, "Audience is not ready", detail)

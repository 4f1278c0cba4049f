"""The answer to ``GET /v1/users/{user_id}/explain/{audience}``."""

from __future__ import annotations

from rules.compile.rule_set import CompiledAudience, ProjectRules
from rules.decide.predict import predict_exit
from rules.explain.as_json import explained_document
from rules.explain.explain import explain
from rules.state.row import Row
from rules.time.instants import format_instant


def explanation(
    rules: ProjectRules, audience: CompiledAudience, user_id: str, row: Row, at_ms: int
) -> dict[str, object]:
    """Whether and why a user is in an audience; the row must be decided up to ``at_ms``."""
    membership = row.audiences.get(audience.key)
    inside = membership is not None and membership.inside
    since_ms = row.since_ms(membership) if membership is not None and inside else None
    exit_ms = predict_exit(rules, audience, row, at_ms) if inside else None
    return {
        "user_id": user_id,
        "project": audience.project,
        "audience": audience.id,
        "audience_name": audience.name,
        "audience_version": audience.version,
        "at": format_instant(at_ms),
        "member": inside,
        "since": None if since_ms is None else format_instant(since_ms),
        "exit_at": None if exit_ms is None else format_instant(exit_ms),
        "rule": explained_document(explain(rules, audience, row, at_ms)),
    }

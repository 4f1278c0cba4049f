"""The answer to ``GET /v1/users/{user_id}/explain/{audience}``."""

from __future__ import annotations

import msgspec

from app.worker.answers import ExplainedNode, Explanation
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.explain.as_json import explained_document
from rules.explain.explain import explain
from rules.state.row import Row
from rules.time.instants import format_instant


def explanation(
    rules: ProjectRules, audience: CompiledAudience, user_id: str, row: Row, at_ms: int
) -> Explanation:
    """Whether and why a user is in an audience; the row must be decided up to ``at_ms``."""
    membership = row.audiences.get(audience.key)
    inside = membership is not None and membership.inside
    since_ms = row.since_ms(membership) if membership is not None and inside else None
    exit_ms = predict_exit(rules, audience, row, at_ms) if inside else None
    return Explanation(
        user_id,
        audience.project,
        audience.id,
        audience.name,
        audience.version,
        format_instant(at_ms),
        inside,
        None if since_ms is None else format_instant(since_ms),
        None if exit_ms is None else format_instant(exit_ms),
        msgspec.convert(explained_document(explain(rules, audience, row, at_ms)), ExplainedNode),
    )

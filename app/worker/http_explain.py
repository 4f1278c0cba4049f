"""The answer to ``GET /v1/users/{user_id}/explain/{audience}``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agents.backfill.upkeep.pending_view import PendingView
from app.worker.answers import ExplainedNode, Explanation, PendingExplanation
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.explain.as_json import explained_document
from rules.explain.explain import Explained, explain, history_from_ms
from rules.state.row import Row
from rules.time.instants import format_instant


def explanation(
    rules: ProjectRules,
    audience: CompiledAudience,
    user_id: str,
    row: Row,
    at_ms: int,
    short: Mapping[int, int] | None = None,
    pending: PendingView | None = None,
) -> Explanation:
    """Whether and why a user is in an audience; the row must be decided up to ``at_ms``.

    ``short`` is as in ``rules.explain.explain.explain``.
    """
    membership = row.audiences.get(audience.key)
    inside = membership is not None and membership.inside
    since_ms = row.since_ms(membership) if membership is not None and inside else None
    exit_ms = predict_exit(rules, audience, row, at_ms) if inside else None
    explained = explain(rules, audience, row, at_ms, short)
    history_ms = history_from_ms(explained)
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
        _node(explained),
        None if history_ms is None else format_instant(history_ms),
        None if pending is None else pending.version,
        None if pending is None else _pending(pending),
    )


def _pending(pending: PendingView) -> PendingExplanation:
    view = pending.shadow
    if view is None:
        return PendingExplanation(pending.state)
    keys = [key for key, _ in view.audience.leaves if key is not None]
    short = dict.fromkeys(keys, view.begin_ms) if view.begin_ms else {}
    explained = explain(view.rules, view.audience, view.row, view.at_ms, short)
    return PendingExplanation(pending.state, format_instant(view.at_ms), explained.value, _node(explained))


def _node(explained: Explained) -> ExplainedNode:
    return msgspec.convert(explained_document(explained), ExplainedNode)

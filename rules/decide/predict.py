"""When a member will leave if nothing more happens: ``exit_at`` of an enter (docs/semantics.md, 9)."""

from __future__ import annotations

from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.state.row import Row
from rules.time.instants import FAR_MS

PREDICTION_STEPS = 1000
"""How many timers ``predict_exit`` looks ahead before it gives up and says null."""


def predict_exit(rules: ProjectRules, audience: CompiledAudience, row: Row, at_ms: int) -> int | None:
    """When the user leaves if nothing more happens; None: never, or not in PREDICTION_STEPS timers.

    The row must be decided up to ``at_ms``. It stays as it is.
    """
    if audience.needs:
        return _predict_nested(rules, audience, row, at_ms)
    for _ in range(PREDICTION_STEPS):
        at_ms = audience.decided.change(row, at_ms)
        if at_ms >= FAR_MS:
            return None
        if not audience.decided.truth(row, at_ms):
            return at_ms
    return None


def _predict_nested(rules: ProjectRules, audience: CompiledAudience, row: Row, at_ms: int) -> int | None:
    """As ``predict_exit``, with the memberships that the rule asks about changing on the way."""
    ahead = row.with_own_memberships()
    group = [rules.audiences[index] for index in (*audience.needs, audience.index)]
    for _ in range(PREDICTION_STEPS):
        at_ms = min(each.decided.change(ahead, at_ms) for each in group)
        if at_ms >= FAR_MS:
            return None
        ahead.now_ms = at_ms
        for each in group:
            if each.decided.truth(ahead, at_ms) == ahead.is_in(each.key):
                continue
            if each is audience:
                return at_ms
            ahead.turn(each.key, each.version, at_ms)
    return None

"""Sending on an event: what of a user's event goes to destinations, after it is decided.

It isn't a transition and changes no membership. It takes the same way: through the row's outbox, so that it
goes once, with one id, whatever crashes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.state.row import Row, Transition, Trigger


def send_event(
    rules: ProjectRules,
    user_id: str,
    row: Row,
    name: str,
    record_id: str | None,
    time_ms: int,
    properties: Mapping[str, object],
    now_ms: int,
    out: list[Transition],
) -> None:
    """Append what destinations get of an event that ``apply_event`` took at ``now_ms``."""
    trigger: Trigger | None = None
    for each in rules.destinations:
        way = each.way_of(row, name, properties, min(time_ms, now_ms))
        if way is None:
            continue
        if trigger is None:
            # Whole: destinations are there because of what the event says.
            trigger = Trigger(
                name, record_id, time_ms, msgspec.json.encode(properties) if properties else b""
            )
        audience = way.audience
        membership = None if audience is None else row.audiences[audience.key]
        entered_at_ms = now_ms if membership is None else row.since_ms(membership)
        out.append(
            Transition(
                project=each.project,
                audience="" if audience is None else audience.id,
                audience_name="" if audience is None else audience.name,
                audience_version=0 if audience is None else audience.version,
                user_id=user_id,
                seq=row.count(each.key, now_ms),
                at_ms=now_ms,
                cause="event",
                trigger=trigger,
                entered_at_ms=entered_at_ms,
                exit_at_ms=None if audience is None else predict_exit(rules, audience, row, row.now_ms),
                destination=each.name,
            )
        )

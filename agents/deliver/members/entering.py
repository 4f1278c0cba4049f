"""The enters that made the current memberships, as a destination gets them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import structlog

from agents.deliver.content.grouping import is_merged, is_merged_by_user
from agents.deliver.content.messages import Message, Original
from agents.deliver.content.selector import Selector
from agents.deliver.definitions.destination import Destination
from agents.deliver.members.rows import readable
from agents.evaluate.transitions import TransitionBody, encode_transition, transition_body
from rules.compile.audience import CompiledAudience
from rules.compile.project_rules import ProjectRules
from rules.decide.predict import predict_exit
from rules.decide.upgrade import OLD
from rules.state.row import Membership, Row, Transition
from tables.codec import row_key, split_row_key

log = structlog.get_logger("turnstile.deliver")

CAUSE = "backfill"


class Entering:
    """Makes the messages of one destination's members."""

    def __init__(self, destination: Destination, rules: ProjectRules) -> None:
        self._project = destination.project
        self._rules = rules
        self._wants = Selector(destination).wants
        self._is_merged = is_merged(destination)
        self._is_merged_by_user = is_merged_by_user(destination)

    def key_of(self, user_id: str) -> bytes:
        """Of the user's row."""
        return row_key(self._project, user_id)

    def messages(self, key: bytes, value: bytes, partition: int) -> list[Message]:
        """What the destination gets of one user, in time order; ``partition`` is the transitions topic's."""
        row = readable(value)
        if row is None:
            log.error("row_unreadable", partition=partition)
            return []
        _, user_id = split_row_key(key)
        wanted = [
            each
            for each in enters(row, self._rules, self._project, user_id)
            if self._wants(transition_body(each))
        ]
        return [_message(user_id, together, partition) for together in self._grouped(wanted)]

    def seq_sent(self, value: bytes | None, user_id: str, audience_id: str) -> int:
        """``seq`` of the enter that was sent for a row and an audience; 0: none was."""
        row = None if value is None else readable(value)
        if row is None:
            return 0
        for each in enters(row, self._rules, self._project, user_id, audience_id):
            if self._wants(transition_body(each)):
                return each.seq
        return 0

    def _grouped(self, transitions: list[Transition]) -> Iterator[list[Transition]]:
        if self._is_merged_by_user:
            if transitions:
                yield transitions[::-1]  # the latest first: it says when the user was changed
        elif self._is_merged:
            for _, together in groupby(transitions, lambda each: each.at_ms):
                yield list(together)
        else:
            for each in transitions:
                yield [each]


def enters(
    row: Row, rules: ProjectRules, project: str, user_id: str, only: str | None = None
) -> list[Transition]:
    """The enters that made the user's memberships, in time order: with the same ids as then.

    What caused them isn't kept in rows: the cause is ``backfill``. ``exit_at`` is when the user leaves as
    things are now. ``only``: id of the audience that is asked for.
    """
    found = []
    for audience in rules.audiences:
        membership = row.audiences.get(audience.key)
        if membership is None or not membership.inside or only not in (None, audience.id):
            continue
        since_ms = row.since_ms(membership)
        found.append(
            Transition(
                project,
                audience.id,
                audience.name,
                membership.version,
                user_id,
                membership.seq,
                since_ms,
                CAUSE,
                None,
                since_ms,
                exit_ms(rules, audience, row, membership),
            )
        )
    return sorted(found, key=lambda each: (each.at_ms, each.audience))


def exit_ms(rules: ProjectRules, audience: CompiledAudience, row: Row, membership: Membership) -> int | None:
    """When the member leaves if nothing more happens; None: by no time alone, or it can't be known here.

    It can't while the row stands as another version of the definition, or of the program, left it.
    """
    if row.used == OLD or membership.version != audience.version:
        return None
    return predict_exit(rules, audience, row, row.now_ms)


def _message(user_id: str, transitions: list[Transition], partition: int) -> Message:
    bodies: list[TransitionBody] = []
    originals: list[Original] = []
    for each in transitions:
        value, headers = encode_transition(each)
        bodies.append(transition_body(each))
        originals.append(Original(user_id.encode(), value, headers, partition, -1, each.at_ms))
    return Message(user_id, tuple(bodies), tuple(originals), partition, -1)

"""The members of audiences, page by page, and how many there are: from the index of members of a partition.

A page is right at its instant: a user whose timer is due by then is decided on a copy of the row, whether
that lets the user in or out. Timers fire within a fraction of a second, so few are due at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agents.evaluate.pipeline import Pipeline
from rules.compile.audience import CompiledAudience
from rules.compile.rule_set import RuleSet
from rules.decide.predict import predict_exit
from tables.codec import row_key, split_row_key

MOST_DUE = 1_000
"""So many users whose timers are due are decided for one answer."""


class TooManyDue(Exception):
    """More timers are due than one answer decides: they fire first."""


class Member(NamedTuple):
    """One user in one audience."""

    user_id: str
    since_ms: int
    exit_ms: int | None
    """When the user leaves if nothing more happens; None: never by time alone."""
    version: int
    """Version of the definition that let the user in."""


@dataclass(frozen=True, slots=True)
class Page:
    """Members of one partition, in the order of their row keys."""

    members: list[Member]
    at_ms: int
    """The instant that it is right at."""
    after: bytes | None
    """Where the next page begins; None: this is the last one."""


def members_after(
    pipeline: Pipeline, audience: CompiledAudience, after: bytes, limit: int, at_ms: int
) -> Page:
    """Up to ``limit`` members with row keys above ``after``, at ``at_ms`` (not before stream time).

    Raises TooManyDue.
    """
    at_ms = max(at_ms, pipeline.stream_time_ms)
    due = due_by(pipeline, at_ms)
    keys = pipeline.profiles.members.page(audience.key, after, limit + 1)
    next_after = keys[limit - 1] if len(keys) > limit else None
    keys = keys[:limit]
    prefix = b"" if audience.project == "default" else f"\0{audience.project}\0".encode()
    wanted = {*keys}
    for key in due:
        if key > after and (next_after is None or key <= next_after) and key.startswith(prefix):
            wanted.add(key)
    rows = pipeline.look_at(wanted, at_ms)
    rules = pipeline.rules.project(audience.project)
    members: list[Member] = []
    for key in sorted(rows):
        row = rows[key]
        membership = row.audiences.get(audience.key)
        if membership is None or not membership.inside:
            continue
        if len(members) == limit:
            return Page(members, at_ms, row_key(audience.project, members[-1].user_id))
        exit_ms = predict_exit(rules, audience, row, max(at_ms, row.now_ms))
        user_id = split_row_key(key)[1]
        members.append(Member(user_id, row.since_ms(membership), exit_ms, membership.version))
    return Page(members, at_ms, next_after)


def sizes_at(pipeline: Pipeline, at_ms: int) -> tuple[dict[int, int], int]:
    """How many members each audience has, by its key, and at which instant that is right.

    The instant is ``at_ms`` or stream time, whichever is later; earlier only where too many timers are late.
    """
    sizes = dict(pipeline.profiles.members.sizes)
    at_ms = max(at_ms, pipeline.stream_time_ms)
    try:
        due = due_by(pipeline, at_ms)
    except TooManyDue:
        ((first_ms, _),) = pipeline.profiles.timers.due(at_ms + 1, 1)
        return sizes, first_ms
    before, after = pipeline.profiles.read_many(due), pipeline.look_at(due, at_ms)
    for rows, count in ((before, -1), (after, 1)):
        for row in rows.values():
            for key, membership in row.audiences.items():
                if membership.inside:
                    sizes[key] = sizes.get(key, 0) + count
    return sizes, at_ms


def is_settled(pipeline: Pipeline, audience: CompiledAudience) -> bool:
    """Whether the index speaks of the audience as its rule does: every row was looked at since it changed."""
    if not pipeline.sweeping:
        return True
    grafting = pipeline.grafting
    return grafting is not None and not grafting.concerns(audience.project, audience.key)


def due_by(pipeline: Pipeline, at_ms: int) -> list[bytes]:
    """Keys of the rows whose timers are due at ``at_ms`` and not fired yet. Raises TooManyDue."""
    timers = pipeline.profiles.timers
    if not timers.may_be_due(at_ms + 1):
        return []
    due = timers.due(at_ms + 1, MOST_DUE + 1)
    if len(due) > MOST_DUE:
        raise TooManyDue(f"more than {MOST_DUE} timers are due")
    return [key for _, key in due]


def sizes_together(rules: RuleSet, pipelines: Iterable[Pipeline]) -> Mapping[tuple[str, str], int]:
    """Members by project and audience (id) in all of these partitions, after their last steps."""
    sizes = [each.profiles.members.sizes for each in pipelines]
    return {
        (audience.project, audience.id): sum(each.get(audience.key, 0) for each in sizes)
        for project in rules.projects.values()
        for audience in project.audiences
    }

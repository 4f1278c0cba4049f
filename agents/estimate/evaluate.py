"""A range of users through the pipeline: their rows at one instant, and the transitions until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from msgspec.structs import replace

from agents.estimate.kept import Kept, Range
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place, partition_of
from rules.compile.rule_set import RuleSet
from rules.state.row import Row, Transition
from tables.codec import row_key, split_row_key
from tables.profiles import Profiles
from tables.store import MemoryStore

CACHE_ROWS: Final = 1 << 40
"""All rows: they are in memory anyhow."""
STEP_RECORDS: Final = 5_000
STEP_USERS: Final = 5_000
EVERYTHING: Final = 1 << 60
ALONE: Final = Place(0, 1)


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user's row, with all timers up to the instant decided."""

    project: str
    user_id: str
    row: Row


@dataclass(frozen=True, slots=True)
class Decided:
    """What one rule set says of some users, who come in the order of their hashes, thus by chance."""

    rules: RuleSet
    at_ms: int
    rows: Sequence[UserRow]
    transitions: Sequence[Transition]
    blank: Mapping[str, int]
    """Per project, the users of whom nothing is kept that the rules look at, and who are in no audience."""


async def decide_users(
    users: Range, partitions: int, rules: RuleSet, limits: Limits, at_ms: int
) -> AsyncIterator[Decided]:
    """Those of each of the table's ``partitions``, as if there were no others. Other tasks run in between."""
    for share in _shares(users, partitions):
        pipeline = Pipeline(ALONE, Profiles(MemoryStore(), CACHE_ROWS), limits)
        pipeline.define(rules)
        transitions: list[Transition] = []
        for some in _steps(_in_log_order(share.records)):
            transitions += _apply(pipeline, some)
            await asyncio.sleep(0)
        while True:
            # What is due at the instant itself is decided, too: a timer fires when time has passed it.
            transitions += _done(pipeline, pipeline.punctuate(at_ms + 1, STEP_USERS))
            if not pipeline.overdue:
                break
            await asyncio.sleep(0)
        yield _of_share(pipeline, share, rules, at_ms, transitions)


def _shares(users: Range, partitions: int) -> Iterable[Range]:
    """The users of each of the table's partitions that has some."""
    owners = {user_id: partition_of(user_id, partitions) for user_id in users.users}
    shares = {owner: Range(users.low, users.high) for owner in owners.values()}
    for user_id, user_hash in users.users.items():
        shares[owners[user_id]].users[user_id] = user_hash
    for project, seen in users.seen.items():
        for user_id, user_hash in seen.items():
            shares[owners[user_id]].seen.setdefault(project, {})[user_id] = user_hash
    for record in users.records:
        shares[owners[record.user_id]].records.append(record)
    return shares.values()


def _in_log_order(records: list[Kept]) -> list[Kept]:
    """Of several sources, merged as histories are: by the time of each source's log (spec, rules 8a.1)."""
    first = records[0] if records else None
    if first is not None and any(
        each.partition != first.partition or each.topic != first.topic for each in records
    ):
        records.sort(key=lambda each: (each.source_ms, each.topic, each.partition, each.offset))
    return records


def _steps(records: list[Kept]) -> Iterator[list[Kept]]:
    for at in range(0, len(records), STEP_RECORDS):
        yield records[at : at + STEP_RECORDS]


def _apply(pipeline: Pipeline, records: list[Kept]) -> list[Transition]:
    """One step of records of any sources."""
    draft = pipeline.begin()
    draft.is_bounded = False
    for _, run in groupby(
        _with_time(records, pipeline.stream_time_ms), lambda each: (each.topic, each.partition)
    ):
        pipeline.feed(draft, list(run))
    return _done(pipeline, pipeline.finish(draft))


def _with_time(records: list[Kept], stream_time_ms: int) -> Iterator[Kept]:
    """Where a record of another user had moved stream time, a record without a value moves it."""
    for record in records:
        if record.timestamp < record.source_ms and stream_time_ms < record.source_ms:
            yield replace(record, timestamp=record.source_ms, value=None)
        stream_time_ms = max(stream_time_ms, record.source_ms)
        yield record


def _done(pipeline: Pipeline, step: Step) -> list[Transition]:
    """The step's transitions, taken as if Kafka and the store had acknowledged everything at once."""
    pipeline.acked(step)
    pipeline.profiles.durable(step.staged)
    return list(step.transitions)


def _of_share(
    pipeline: Pipeline, share: Range, rules: RuleSet, at_ms: int, transitions: Sequence[Transition]
) -> Decided:
    """A record may hold others' records, too, of whom not all is known here."""
    found = pipeline.profiles.scan(b"", EVERYTHING)
    loaded = {key: row for key, row in pipeline.profiles.load(found).items() if not row.is_stub}
    keys = [key for key in found if key in loaded]
    users = share.users
    rows = [UserRow(*split_row_key(key), loaded[key]) for key in keys]
    return Decided(
        rules,
        at_ms,
        sorted((each for each in rows if each.user_id in users), key=lambda each: users[each.user_id]),
        [each for each in transitions if each.user_id in users],
        {
            project: sum(row_key(project, user_id) not in loaded for user_id in seen)
            for project, seen in share.seen.items()
        },
    )

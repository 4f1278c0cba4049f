"""Who is in now: the current members of a destination's audiences, read from the rows' changelog.

Not from the transitions topic: retention takes those, and a member may have entered long before. A row's
changelog is compacted, never expires, and is written before the transition of the same step; so a snapshot
that begins after offset S of the transitions topic was noted knows everything that lies before S.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.deliver.content.messages import Message, Original
from agents.deliver.content.selector import Selector
from agents.evaluate.transitions import encode_transition, transition_body
from agents.registry.topic import everything_on
from agents.registry.unusable import Unusable, shown_key, usable
from agents.restore.foreign_records import foreign
from rules.model.canonical import audience_key
from rules.state.row import Row, Transition
from tables.changelog.format import is_row
from tables.codec import RowUnreadable, decode_row, split_row_key

log = structlog.get_logger("turnstile.deliver")

POLL_MS = 500


@dataclass(frozen=True, slots=True)
class AudienceName:
    """What a row doesn't hold of an audience."""

    id: str
    name: str


class _Head(msgspec.Struct):
    """What is read here of a published definition."""

    id: str
    name: str
    project: str = "default"


class _Published(msgspec.Struct):
    definition: _Head
    deleted: bool = False

    @property
    def key(self) -> bytes:
        return f"{self.definition.project}/{self.definition.id}".encode()


_decode_head = msgspec.json.Decoder(_Published).decode

Names = Mapping[int, AudienceName]
"""By the audience's 32-bit key, of one project."""


def names_of(project: str, audiences: Iterable[tuple[str, str]]) -> Names:
    """From (id, name) of a project's audiences."""
    return {audience_key(project, each): AudienceName(each, name) for each, name in audiences}


async def read_names(new_consumer: Callable[[], AIOKafkaConsumer], topic: str, project: str) -> Names:
    """The audiences that are published now, from the definitions topic."""
    found: dict[bytes | None, tuple[str, str]] = {}
    async with new_consumer() as consumer:
        async for record in everything_on(consumer, topic):
            key, value = record.key, record.value
            try:
                head = None if value is None else usable(lambda value=value: _decode_head(value))  # type: ignore[misc]
                if head is not None and key != head.key:
                    raise Unusable(f"its key is not {shown_key(head.key)}, as its definition says")
            except Unusable as reason:
                # The one before stays, as in workers, which also warn of it.
                log.error("definition_unreadable", topic=topic, offset=record.offset, error=str(reason))
                continue
            found.pop(key, None)
            if head is not None and not head.deleted and head.definition.project == project:
                found[key] = head.definition.id, head.definition.name
    return names_of(project, found.values())


async def read_rows(
    new_consumer: Callable[[], AIOKafkaConsumer], changelog: str, partition: int, project: str
) -> dict[bytes, bytes]:
    """The latest row of every user of a project that the partition's changelog holds now, by row key."""
    rows: dict[bytes, bytes] = {}
    async with new_consumer() as consumer:
        tp = TopicPartition(changelog, partition)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
            for record in polled.get(tp, []):
                key: bytes = record.key
                if (fault := foreign(record)) is not None:
                    log.error("changelog_foreign", topic=changelog, offset=record.offset, error=fault)
                    continue
                if not is_row(key) or split_row_key(key)[0] != project:
                    continue
                if record.value is None:
                    rows.pop(key, None)
                elif is_member_of_any(record.value):
                    rows[key] = record.value
                else:
                    rows.pop(key, None)
    return rows


def is_member_of_any(value: bytes) -> bool:
    """Whether a row has an audience that its user is in. Rows that can't be read count as such."""
    try:
        row = decode_row(value)
    except (RowUnreadable, msgspec.DecodeError):
        return True
    return any(each.inside for each in row.audiences.values())


async def members(
    rows: Mapping[bytes, bytes], partition: int, project: str, names: Names, selector: Selector
) -> AsyncIterator[Message]:
    """An enter for each membership that a destination wants, one user after the other."""
    for key, value in rows.items():
        _, user_id = split_row_key(key)
        try:
            row = decode_row(value)
        except (RowUnreadable, msgspec.DecodeError) as error:
            log.error("row_unreadable", partition=partition, error=str(error))
            continue
        for transition in enters(row, project, user_id, names):
            body = transition_body(transition)
            if not selector.wants(body):
                continue
            encoded, headers = encode_transition(transition)
            original = Original(user_id.encode(), encoded, headers, partition, -1, transition.at_ms)
            yield Message(user_id, (body,), (original,), partition, -1)


def enters(row: Row, project: str, user_id: str, names: Names) -> list[Transition]:
    """The enters that made the user's memberships, in time order: with the same ids as then.

    What caused them isn't kept in rows: the cause is ``backfill``, and when they will leave is not said.
    """
    found = []
    for key, membership in row.audiences.items():
        audience = names.get(key)
        if audience is None or not membership.inside:
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
                "backfill",
                None,
                since_ms,
                None,
            )
        )
    return sorted(found, key=lambda each: (each.at_ms, each.audience))

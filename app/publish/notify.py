"""Where a project's notices go, changed on its topic."""

from __future__ import annotations

import time

from msgspec.structs import replace

from agents.notices.addresses import NotifyAddress, NotifyAddresses, address_record
from agents.registry.audit import audit_record
from agents.registry.writer import Change
from app.publish.author import Author
from app.publish.topics import DefinitionTopics


async def set_address(
    topics: DefinitionTopics, project: str, address: NotifyAddress, author: Author
) -> NotifyAddress:
    """Have a project's notices go to an address; as it was written, with a number of its own."""

    def decide(known: NotifyAddresses) -> Change[NotifyAddress]:
        before, now_ms = known.published.get(project), time.time_ns() // 1_000_000
        made = replace(
            address,
            number=known.numbers.get(project, 0) + 1,
            since_ms=now_ms if before is None else before.since_ms,
        )
        action = author.told(
            "notify",
            made.notify_id,
            "created" if before is None else "changed",
            now_ms,
            project=project,
            version=made.number,
        )
        return Change(made, [address_record(project, made)], [audit_record(action)])

    return await topics.change(topics.notify, decide)


async def delete_address(topics: DefinitionTopics, project: str, author: Author) -> None:
    """Have a project get no more notices. Nothing is written where it gets none."""

    def decide(known: NotifyAddresses) -> Change[None]:
        before = known.published.get(project)
        if before is None and project.encode() not in known.unusable:
            return Change(None)
        notify_id = "" if before is None else before.notify_id
        told = author.told("notify", notify_id, "deleted", time.time_ns() // 1_000_000, project=project)
        return Change(None, [address_record(project, None)], [audit_record(told)])

    await topics.change(topics.notify, decide)

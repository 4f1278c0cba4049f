"""Who owns which partition of the table, for processes that are no members of the workers' group.

Each member of the group is told by its leader where every partition is (Faust's assignor). Kafka's
``DescribeGroups`` gives that to anybody who may describe the group.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code


class _Told(msgspec.Struct):
    """What is read of the data that Faust's leader gives to each member."""

    changelog_distribution: dict[str, dict[str, list[int]]] = {}
    """By URL, then by topic."""


_decode = msgspec.json.Decoder(_Told).decode


async def owners_of(admin: AIOKafkaAdminClient, group: str, changelog: str) -> dict[int, str]:
    """The URL of the worker that owns each partition, as the group's leader last said; without those that
    nobody owns now. Raises KafkaError."""
    (response,) = await admin.describe_consumer_groups([group])
    (described,) = response.to_object()["groups"]
    if described["error_code"]:
        raise for_code(described["error_code"])(described["group"])
    found: dict[int, str] = {}
    for member in described["members"]:
        for url, topics in _distribution(member["member_assignment"]).items():
            found.update(dict.fromkeys(topics.get(changelog, ()), url))
    return found


def _distribution(assignment: bytes | None) -> dict[str, dict[str, list[int]]]:
    """Of one member's assignment, which is empty in the middle of a rebalance."""
    if not assignment:
        return {}
    try:
        decoded: Any = ConsumerProtocolMemberAssignment.decode(assignment)
        return _decode(zlib.decompress(decoded.user_data)).changelog_distribution
    except (ValueError, TypeError, zlib.error, msgspec.MsgspecError):
        return {}

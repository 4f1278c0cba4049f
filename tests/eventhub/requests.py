"""The two request/response nodes: `$cbs` (put-token) and `$management` (READ)."""

from __future__ import annotations

from proton import Message

from tests.eventhub.credentials import Credentials
from tests.eventhub.store import Hub


def put_token(request: Message, credentials: Credentials, refused: bool) -> Message:
    properties = request.properties or {}
    token, kind = str(request.body), str(properties.get("type"))
    if refused or not credentials.allow(token, kind):
        return _answer(request, 401, "InvalidSignature: The token has an invalid signature.")
    return _answer(request, 202, "Accepted")


def management(request: Message, hub: Hub) -> Message:
    """READ of the hub or of one partition of it."""
    properties = request.properties or {}
    name, kind = properties.get("name"), properties.get("type")
    if properties.get("operation") != "READ":
        return _answer(request, 400, f"operation {properties.get('operation')!r} is not READ")
    if name != hub.name:
        return _answer(request, 404, f"The messaging entity {name!r} could not be found.")
    ids = [str(each) for each in range(hub.count)]
    if kind == "com.microsoft:eventhub":
        body: dict[str, object] = {
            "name": hub.name,
            "type": kind,
            "created_at": hub.created_ms,
            "partition_count": hub.count,
            "partition_ids": ids,
        }
    elif kind == "com.microsoft:partition" and properties.get("partition") in ids:
        stored = hub.partitions[int(properties["partition"])]
        body = {
            "name": hub.name,
            "type": kind,
            "partition": properties["partition"],
            "begin_sequence_number": 0,
            "last_enqueued_sequence_number": len(stored) - 1,
            "last_enqueued_offset": str(len(stored) - 1),
            "last_enqueued_time_utc": stored[-1].enqueued_ms if stored else 0,
            "is_partition_empty": not stored,
        }
    else:
        return _answer(request, 404, f"no {kind} {properties.get('partition')!r}")
    return _answer(request, 200, "OK", body)


def _answer(request: Message, code: int, description: str, body: object = None) -> Message:
    answer = Message(body=body)
    answer.correlation_id = request.id
    answer.properties = {"status-code": code, "status-description": description}
    return answer

"""Deliveries as AMQP messages in the SDK's batches.

The SDK encodes each event twice, field by field in Python: 180 µs with the properties that we send. So the
few kinds of fields that occur here are encoded directly and put into the batch where the SDK's own ``add``
puts them. That is checked against the SDK byte for byte, once per process; should another version encode
otherwise, its own ``add`` is used.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from azure.eventhub import EventData, EventDataBatch

from agents.deliver.contract.delivery import Delivery
from agents.evaluate.transitions import TransitionBody, TriggerBody

log = structlog.get_logger("turnstile.deliver.eventhub")

PREFIX = "cloudEvents:"
"""Of CloudEvents attributes among the application properties, as in the AMQP binding and in Azure."""

CONTENT_TYPE = "application/json"
_SMALL_DATA_OVERHEAD, _DATA_OVERHEAD = 5, 8
_FIELDS_OF_PROPERTIES = 13
_NULLS = b"\x40"


def ce_type(delivery: Delivery) -> str:
    """Of several transitions in one message that don't all go the same way: ``turnstile.audience.change``."""
    events = {each.event for each in delivery.transitions}
    return f"turnstile.audience.{events.pop() if len(events) == 1 else 'change'}"


def attributes(delivery: Delivery) -> dict[str | bytes, str]:
    """CloudEvents attributes by their names in the message."""
    first = delivery.transitions[0]
    return {
        PREFIX + "specversion": "1.0",
        PREFIX + "id": delivery.id,
        PREFIX + "type": ce_type(delivery),
        PREFIX + "source": f"/turnstile/{first.project}",
        PREFIX + "subject": delivery.id_sent,
        PREFIX + "time": first.at,
    }


def event_of(delivery: Delivery) -> EventData:
    """The SDK's event."""
    event = EventData(delivery.body)
    event.message_id = delivery.id
    event.content_type = CONTENT_TYPE
    event.properties = attributes(delivery)
    return event


def encoded(delivery: Delivery) -> bytes:
    """The same event as an encoded AMQP message."""
    properties = _text(delivery.id) + _NULLS * 5 + _CONTENT_TYPE + _NULLS * 6
    first = delivery.transitions[0]
    application = (
        _SPECVERSION
        + _ID
        + _text(delivery.id)
        + _TYPE
        + _text(ce_type(delivery) if len(delivery.transitions) > 1 else f"turnstile.audience.{first.event}")
        + _SOURCE
        + _text(f"/turnstile/{first.project}")
        + _SUBJECT
        + _text(delivery.id_sent)
        + _TIME
        + _text(first.at)
    )
    body = delivery.body
    size = len(body)
    return b"".join(
        (
            b"\x00\x53\x73",
            _compound(0xC0, 0xD0, _FIELDS_OF_PROPERTIES, properties),
            b"\x00\x53\x74",
            _compound(0xC1, 0xD1, 12, application),
            b"\x00\x53\x75\xa0" + bytes((size,))
            if size < 256
            else b"\x00\x53\x75\xb0" + size.to_bytes(4, "big"),
            body,
        )
    )


def add(batch: EventDataBatch, delivery: Delivery, keyed: bool = False) -> bool:
    """Put a delivery into a batch, ``keyed`` if the batch has a partition key. False: it doesn't fit."""
    if keyed or not _direct():
        try:
            batch.add(event_of(delivery))
        except ValueError:
            return False
        return True
    message = encoded(delivery)
    inside: Any = batch
    size = inside._size + len(message) + (_SMALL_DATA_OVERHEAD if len(message) < 256 else _DATA_OVERHEAD)
    if size > batch.max_size_in_bytes:
        return False
    inside._message[5].append(message)
    inside._size = size
    inside._count += 1
    return True


@cache
def _direct() -> bool:
    """Whether what is done here directly is what this version of the SDK does."""
    try:
        same = all(_same(sample) for sample in _samples())
    except (AttributeError, IndexError, TypeError, ValueError):
        same = False
    if not same:
        log.warning("eventhub_slow_encoding", reason="this version of azure-eventhub encodes differently")
    return same


def _same(sample: Delivery) -> bool:
    theirs: Any = EventDataBatch(partition_id="0")
    ours: Any = EventDataBatch(partition_id="0")
    theirs.add(event_of(sample))
    message = encoded(sample)
    overhead = _SMALL_DATA_OVERHEAD if len(message) < 256 else _DATA_OVERHEAD
    return (
        bytes(theirs._message[5][0]) == message
        and theirs._size == ours._size + len(message) + overhead
        and theirs._count == len(theirs) == 1
        and not ours._message[5]
    )


def _samples() -> list[Delivery]:
    """Short and long texts, so that each of the encodings occurs."""
    made = []
    for length in (1, 150, 254, 255, 256, 400):
        text = "é" * (length // 2) + "x" * (length % 2)
        trigger = TriggerBody(None, None, "2026-11-22T01:02:03.456Z")
        transition = TransitionBody(
            text, "exit", text, "a", "A", 1, text, 1, "2026-11-22T01:02:03.456Z", "event", trigger, "", None
        )
        made.append(Delivery(text, text, text, (transition,), text.encode(), 0, 0))
    return made


def _text(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    return b"\xa1" + bytes((size,)) + data if size < 256 else b"\xb1" + size.to_bytes(4, "big") + data


def _compound(small: int, large: int, count: int, items: bytes) -> bytes:
    """A list or map: sizes include the count's own byte, or four."""
    size = len(items)
    if size < 255:
        return bytes((small, size + 1, count)) + items
    return bytes((large,)) + (size + 4).to_bytes(4, "big") + count.to_bytes(4, "big") + items


_CONTENT_TYPE = b"\xa3" + bytes((len(CONTENT_TYPE),)) + CONTENT_TYPE.encode()
_SPECVERSION = _text(PREFIX + "specversion") + _text("1.0")
_ID, _TYPE, _SOURCE = (_text(PREFIX + name) for name in ("id", "type", "source"))
_SUBJECT, _TIME = (_text(PREFIX + name) for name in ("subject", "time"))

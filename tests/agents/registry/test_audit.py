"""The audit topic: each change is read as it was written, and what others wrote there is told."""

from __future__ import annotations

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.audit import AuditRecord, audit_record, audit_topic, read_audit
from agents.registry.topic import publish
from agents.registry.unusable import UnusableRecord
from agents.topics import create_topics

AT = "2026-11-28T00:00:00.000Z"
CHANGES = [
    AuditRecord(
        at=AT, by="ann", via="http", project="shop", kind="audience", id="fans", action="created", version=1
    ),
    AuditRecord(at=AT, by="", via="command", project="*", kind="key", id="crm", action="revoked"),
]


async def test_changes_are_read_in_their_order_and_others_records_are_told(
    broker: str, topic_prefix: str
) -> None:
    kafka, topic = Broker(broker), audit_topic(topic_prefix)
    admin = new_admin(kafka)
    await admin.start()
    await create_topics(admin, {topic: (1, {})}, 1)
    await admin.close()
    records = [audit_record(each) for each in CHANGES]
    async with new_producer(kafka, idempotence=False) as producer:
        await publish(producer, topic, [records[0], (b"shop", b"bad"), records[1]])
    async with new_consumer(kafka) as consumer:
        found = [each async for each in read_audit(consumer, topic)]
    assert [each for each in found if isinstance(each, AuditRecord)] == CHANGES
    (told,) = [each for each in found if isinstance(each, UnusableRecord)]
    assert (told.offset, told.key) == (1, b"shop")
    assert records[1] == (
        b"*",
        b'{"at":"2026-11-28T00:00:00.000Z","by":"","via":"command","project":"*","kind":"key","id":"crm",'
        b'"action":"revoked"}',
    )

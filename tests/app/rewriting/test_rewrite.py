"""Topics that are written again without the users who were erased."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from typer.testing import CliRunner

from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.erasures import receipt_of, receipt_record
from agents.registry.topic import publish
from app.cli import cli
from app.rewriting.users import ErasedRecords
from tables.codec import row_key
from tables.erased import Erased, pseudonym
from tests.app.imports.lab import START_MS, ImportLab, line

ANN = "ann-who-was-erased"


async def all_of(lab: ImportLab, topic: str) -> list[bytes]:
    """Every record of a topic, key, value and headers, as one text each."""
    found: list[bytes] = []
    async with new_consumer(lab.broker) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets([TopicPartition(topic, 0)])
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [repr((each.key, each.value, each.headers)).encode() for each in records]
    return found


async def test_history_and_dead_letters_have_nothing_of_an_erased_user(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = ImportLab(kafka, topic_prefix, tmp_path, partitions=1)
    users = ["bob", ANN, "cy", ANN, "bob"]
    file = lab.file("old", [line(user, START_MS + at) for at, user in enumerate(users)])
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out
    letters, erasures = f"{topic_prefix}.events.dlq", f"{topic_prefix}.erasures"
    admin = new_admin(lab.broker)
    await admin.start()
    await admin.create_topics([NewTopic(each, 1, 1) for each in (letters, erasures)])
    await admin.close()
    async with new_producer(lab.broker, idempotence=False) as producer:
        await publish(producer, letters, [(each.encode(), b"{broken") for each in ("bob", ANN)])
        note = [("replayed.offset", b"0")]
        await producer.send_and_wait(letters, None, b"", partition=0, headers=note)
        erased = receipt_of(pseudonym(ANN.encode()), Erased(START_MS, {}, {}, ["r"], "default", (0, 0)), 0)
        await publish(producer, erasures, [receipt_record(erased)])

    runner = CliRunner(env=lab.environment)
    ran = await asyncio.to_thread(runner.invoke, cli, ["erasures", "rewrite"])
    assert ran.exit_code == 0, ran.output
    assert f"{lab.topic}: 2 records" in ran.output
    assert f"{letters}: 1 records" in ran.output

    (history,) = await lab.history()
    assert [each.key for each in history] == ["bob", "cy", "bob"]
    everything = [*await all_of(lab, lab.topic), *await all_of(lab, letters)]
    assert [each for each in everything if ANN.encode() in each] == []
    assert b"'replayed.offset', b'3'" in everything[-1], "the note names the letter's new place"
    code, out = await asyncio.to_thread(lab.run, file)
    assert (code, await lab.records()) == (0, 8), "the same file again changes nothing"


def test_whom_a_record_is_of_is_told_by_its_key_or_its_value() -> None:
    key = row_key("shop", ANN)
    records = ErasedRecords(frozenset([pseudonym(key)]))
    value = json.dumps([{"user_id": "bob"}, {"user_id": ANN, "project": "shop"}]).encode()
    assert records.has(b"any", value)
    assert records.has(ANN.encode(), b'{"project": "shop"}')
    assert not records.has(ANN.encode(), None)
    assert not records.has(b"\xff", b"{")

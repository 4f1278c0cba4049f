"""Topics that are written again without the users who were erased."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.registry.erased_records import ErasedRecords
from agents.registry.topic import publish
from agents.topics import create_topics
from app.cli import cli
from app.commands.options import load_quiet
from app.rewriting import rewrite as rewriting
from tables.claims import claim_key
from tables.codec import row_key
from tables.erased import pseudonym
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
    letters = f"{topic_prefix}.events.dlq"
    admin = new_admin(lab.broker)
    await admin.start()
    await create_topics(admin, {letters: (1, {})}, 1)
    await admin.close()
    async with new_producer(lab.broker, idempotence=False) as producer:
        await publish(producer, letters, [(each.encode(), b"{broken") for each in ("bob", ANN)])
        note = [("replayed.offset", b"0")]
        await producer.send_and_wait(letters, None, b"", partition=0, headers=note)
    await lab.erase(ANN)

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


async def test_what_no_import_wrote_counts_once_whenever_the_rewriting_is_killed(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = ImportLab(kafka, topic_prefix, tmp_path, partitions=1)
    file = lab.file("old", [line(user, START_MS + 10 * at) for at, user in enumerate(["bob", ANN, "cy"])])
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out

    async def others(*users: str) -> None:
        """Of another program, in no order of time."""
        async with new_producer(lab.broker, idempotence=False) as producer:
            for number, user in enumerate(users):
                at_ms = START_MS + 5 - number
                value = line(user, at_ms).encode()
                sent = await producer.send(lab.topic, value, user.encode(), partition=0, timestamp_ms=at_ms)
                await sent

    async def read() -> list[str]:
        (history,) = await lab.history()
        return [each.key for each in history]

    async def rewrite() -> None:
        async for _ in rewriting.rewrite(load_quiet(None)):
            pass

    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    await others("dan", ANN, "eve", "dan")
    kept = ["bob", "dan", "eve", "dan", "cy"]
    assert [each for each in await read() if each != ANN] == kept

    async def killed(*_: object) -> None:
        raise RuntimeError("killed")

    await lab.erase(ANN)
    for step in ("publish", "remove", None):
        with monkeypatch.context() as patched:
            if step is not None:
                patched.setattr(rewriting, step, killed)
                with pytest.raises(RuntimeError, match="killed"):
                    await rewrite()
            else:
                await rewrite()
        assert [each for each in await read() if each != ANN] == kept, step
    everything = await all_of(lab, lab.topic)
    assert not any(ANN.encode() in each for each in everything)
    assert len(everything) == len(kept), "what the killed ones left is gone"

    await others("flo", "dan")  # it is written on, and rewritten once more
    assert await read() == ["bob", "dan", "eve", "dan", "flo", "dan", "cy"]
    await lab.erase("dan")
    await rewrite()
    assert await read() == ["bob", "eve", "flo", "cy"]
    code, out = await asyncio.to_thread(lab.run, file)
    assert (code, await read()) == (0, ["bob", "eve", "flo", "cy"]), "the same file again changes nothing"


def test_whom_a_record_is_of_is_told_by_its_key_or_its_value() -> None:
    key = row_key("shop", ANN)
    records = ErasedRecords({pseudonym(key): 9})
    value = json.dumps([{"user_id": "bob"}, {"user_id": ANN, "project": "shop"}]).encode()
    assert records.has(b"any", value)
    assert records.has(b"any", value, 9)
    assert not records.has(b"any", value, 10), "of a user who came back"
    assert records.has(ANN.encode(), b'{"project": "shop"}')
    assert not records.has(ANN.encode(), None)
    value_of_claim = b'{"time": "2026-11-22T12:00:00.000Z"}'
    assert records.has(claim_key(("shop", "email", "a@b.c"), ANN), value_of_claim)
    assert not records.has(claim_key(("default", "email", "a@b.c"), ANN), value_of_claim)
    assert not records.has(b"\xff", b"{")

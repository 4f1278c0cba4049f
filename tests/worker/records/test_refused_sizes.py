"""Topics smaller than what data makes for them: letters lose their value, nothing stops, nothing is lost."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from agents.kafka.placement import partition_of
from agents.topics import create_topics
from tables.claims import decode_key
from tests.stage.log import START_MS, Line
from tests.stage.scene import KEPT, Scene, scene
from tests.stage.topics import configure

ONCE = "audiences: [{id: once, name: Once, rule: {event: view}}]"
MIB = 1024 * 1024


async def send(stage: Scene, topic: str, partition: int, *records: dict[str, Any]) -> None:
    """Records of any size, one after the other."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap, acks="all", max_request_size=64 * MIB)
    async with producer:
        for number, each in enumerate(records):
            record = {"timestamp_ms": START_MS + number, "key": b"u", "value": b"x", **each}
            await producer.send_and_wait(topic, partition=partition, **record)


async def limit(stage: Scene, topic: str, max_bytes: int) -> None:
    """What a topic takes from now on."""
    await configure(stage.admin, topic, {"max.message.bytes": str(max_bytes)})


def headers_of(record: ConsumerRecord) -> dict[str, bytes]:
    return dict(record.headers)


def view(user_id: str, **properties: str) -> bytes:
    return json.dumps({"user_id": user_id, "event": "view", "properties": properties}).encode()


def named(user_id: str) -> bytes:
    """A profile update that claims an identity."""
    body = {"user_id": user_id, "type": "profile", "set": {"x": 1}, "identities": {"email": "a@b.c"}}
    return json.dumps(body).encode()


async def test_a_letter_too_large_for_its_topic_goes_without_what_is_too_large(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        await stage.define(ONCE)
        await create_topics(stage.admin, {stage.dead_letters: (1, KEPT)}, 1)
        await limit(stage, stage.events, 8 * MIB)
        just_below = b"x" * (MIB - 100)
        await send(
            stage,
            stage.events,
            0,
            {"value": just_below, "headers": [("trace", b"abc")]},
            {"value": b"bad", "headers": [("trace", b"a" * 2 * MIB)]},
            {"value": just_below, "headers": [("trace", b"a" * 2 * MIB)]},
            {"value": b"bad", "key": b"k" * 2 * MIB},
            {"value": view("good")},
        )
        worker = stage.worker(records__max_bytes=100_000)
        worker.start()
        await stage.finished()
        plain, headed, both, keyed = await stage.read(stage.dead_letters)
        assert (plain.key, plain.value) == (b"u", None)
        assert headers_of(plain)["error.code"] == b"too_large"
        assert headers_of(plain)["error.value_bytes"] == str(len(just_below)).encode()
        assert headers_of(plain)["error.value_sha256"] == sha256(just_below).hexdigest().encode()
        assert headers_of(plain)["trace"] == b"abc"
        assert (headed.key, headed.value) == (b"u", b"bad")
        assert int(headers_of(headed)["error.headers_bytes"]) > 2 * MIB
        assert (both.key, both.value) == (b"u", None)
        assert {"error.value_bytes", "error.headers_bytes"} <= headers_of(both).keys()
        assert (keyed.key, keyed.value) == (b"", None)
        assert headers_of(keyed)["error.key_bytes"] == str(2 * MIB).encode()
        assert [int(headers_of(each)["source.offset"]) for each in (plain, headed, both, keyed)] == [
            0,
            1,
            2,
            3,
        ]
        assert len((await stage.outcome()).bodies) == 1

        # A limit that is lowered while the worker runs, and one below every letter.
        await limit(stage, stage.dead_letters, 5000)
        await send(stage, stage.events, 0, *[{"value": b"y" * 3000}] * 20)
        await stage.finished()
        letters = (await stage.read(stage.dead_letters))[4:]
        assert [each.value for each in letters] == [b"y" * 3000] * 20
        await limit(stage, stage.dead_letters, 20)
        await send(stage, stage.events, 0, {"value": b"worse"}, {"value": view("fine")})
        await stage.finished()
        body = (await worker.get("/readyz?verbose"))[1]
        (told,) = [each for each in body["warnings"] if each["code"] == "dead_letter_refused"]
        assert told["place"] == f"{stage.events}/0@25"
        assert len((await stage.outcome()).bodies) == 2
        worker.stop()


async def test_transitions_claims_and_re_keyed_records_that_are_refused_stop_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(ONCE)
        await limit(stage, stage.transitions, 3000)
        await limit(stage, stage.repartition, 3000)
        identities = f"{stage.prefix}.identities"
        await stage.make(identities, 2, {"cleanup.policy": "compact", "max.message.bytes": "1000"})
        here = next(name for name in (f"h{at}" for at in range(99)) if partition_of(name, 2) == 0)
        there = [name for name in (f"t{at}" for at in range(99)) if partition_of(name, 2) == 1]
        many = [name for name in (f"m{at}" for at in range(199)) if partition_of(name, 2) == 0]
        long = next(name for name in (f"{at}" + "漢" * 500 for at in range(99)) if partition_of(name, 2) == 0)
        await stage.send(0, [Line(START_MS, b"u", view(each)) for each in many])
        await send(
            stage,
            stage.events,
            0,
            {"value": named(here)},
            {"value": view(here, text="t" * 2900)},
            {"value": named(long)},
            {"value": view(long)},
            {"value": view(there[0]), "headers": [("trace", b"a" * 4000)]},
            {"value": view(there[1], text="t" * 5000)},
            {"value": view(there[2])},
        )
        worker = stage.worker()
        worker.start()
        await stage.finished()
        outcome = await stage.outcome()
        users = [json.loads(each)["user_id"] for each in outcome.bodies.values()]
        assert sorted(users) == sorted([*many, here, there[0], there[2]])
        (letter,) = await stage.read(stage.dead_letters)
        assert headers_of(letter)["error.code"] == b"rekeyed_refused"
        assert letter.value == view(there[1], text="t" * 5000)
        (lost,) = await stage.read(f"{stage.transitions}.dlq")
        assert headers_of(lost)["error.code"] == b"transition_refused"
        assert json.loads(lost.value or b"")["user_id"] == long
        (claim,) = await stage.read(identities)
        assert decode_key(claim.key) == (("default", "email", "a@b.c"), here)
        (lost,) = await stage.read(f"{identities}.dlq")
        assert headers_of(lost)["error.code"] == b"claim_refused"
        assert decode_key(lost.key) == (("default", "email", "a@b.c"), long)
        codes = {each["code"] for each in (await worker.get("/readyz?verbose"))[1]["warnings"]}
        assert codes == {"transition_refused", "claim_refused", "transition_shortened"}
        worker.stop()

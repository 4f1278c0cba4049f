"""Bad records on the topics that a delivery worker reads, and letters that their topic refuses."""

from __future__ import annotations

import json
from pathlib import Path

from aiokafka import AIOKafkaProducer

from agents.deliver.definitions.published import destinations_topic
from agents.deliver.definitions.starts import start_key
from tests.stage.commands import run_beside
from tests.stage.delivery import scene, transition
from tests.stage.workers import environment, until

DEEP = b'{"version": 1, "definition": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
SINK = "{name: lake, kind: kafka, existing_members: true, kafka: {topic: %s}}"
LIMIT = 2000


def definition(**more: object) -> bytes:
    document = {"name": "lake", "kind": "kafka", "kafka": {"topic": "t"}}
    return json.dumps({"version": 1, "definition": document, **more}).encode()


async def test_bad_records_are_told_and_letters_go_in_the_form_that_fits(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        topic, prefix = destinations_topic(topic_prefix), topic_prefix
        letters, out = f"{prefix}.deliver.lake.dlq", f"{prefix}.out"
        await stage.make(letters, 1, **{"max.message.bytes": str(LIMIT)})
        await stage.make(out, 1, **{"compression.type": "zstd"})
        await stage.make(f"{prefix}.audiences", 1, **{"cleanup.policy": "compact", "compression.type": "lz4"})
        await stage.make(f"{prefix}-profiles-changelog", 1, **{"cleanup.policy": "compact"})
        send = stage.producer.send_and_wait
        await send(f"{prefix}.audiences", DEEP, b"default/a")
        await send(f"{prefix}.audiences", b"\xff", b"\xff")
        await send(f"{prefix}-profiles-changelog", b"junk", b"\xff\xfe")
        await stage.define(SINK % out)
        bad = [
            (b"deep", DEEP),
            (b"\xff", definition()),
            (b"other", definition()),
            (b"two", b'{"version": 1, "definition": {"destinations": []}}'),
            (b"lake", definition(generation=0)),
            (start_key("lake"), b'{"generation": 1, "offsets": {"0": -5}}'),
        ]
        for key, value in bad:
            await send(topic, value, key)
        deliverer = stage.deliverer()
        deliverer.start()

        async def is_running() -> bool:
            return bool((await deliverer.status("lake"))["state"] == "running")

        await until(is_running, "the destination runs", 60, [deliverer])
        warnings = (await deliverer.get("/readyz?verbose"))[1]["warnings"]
        assert {each["code"] for each in warnings} == {"destination_unreadable"}
        assert len(warnings) == len(bad) - 1  # the start was decided again, under its key
        deep = b'{"x": ' + b"[" * 3000 + b"]" * 3000 + b"}"
        async with AIOKafkaProducer(
            bootstrap_servers=kafka, compression_type="snappy", linger_ms=20
        ) as producer:
            write = producer.create_batch()
            for key, value, headers in [
                (b"u", deep, []),
                (None, None, [("trace", b"abc")]),
                (b"u", b"short", [("trace", b"t" * 3000)]),
                (b"k" * 3000, b"short", []),
            ]:
                write.append(timestamp=None, key=key, value=value, headers=headers)
            await (await producer.send_batch(write, stage.transitions, partition=0))
        await stage.send([transition("u1", 1)])

        async def is_done() -> bool:
            return await stage.is_committed("lake") and len(await stage.read(letters)) == 4

        await until(is_done, "all is delivered or a letter", 60, [deliverer])
        assert [json.loads(each.value or b"")["user_id"] for each in await stage.read(out)] == ["u1"]
        found = {dict(each.headers)["source.offset"]: each for each in await stage.read(letters)}
        forms = {offset: (each.key, each.value) for offset, each in sorted(found.items())}
        assert list(forms.values()) == [(b"u", None), (None, None), (b"u", b"short"), (b"", None)]
        for offset, names in zip(
            forms, ("error.value_sha256", "trace", "error.headers_bytes", "error.key_bytes"), strict=True
        ):
            headers = dict(found[offset].headers)
            assert names in headers
            assert headers["error.code"] == b"unreadable"
        assert deliverer.logged("dead_letter ")
        told = await run_beside("deliver", "status", given=environment(deliverer.settings))
        assert told.returncode == 0, told.stderr
        assert "lake" in told.stdout
        assert f"{topic}, offset 1, key 'deep': it is nested too deep" in told.stderr
        assert len(told.stderr.splitlines()) == len(bad) - 1
        deliverer.end()

"""Records that can't be used: one dead letter each, bytes untouched, and the good ones unharmed."""

from __future__ import annotations

import json
from pathlib import Path

from agents.kafka.placement import partition_of
from tests.stage.log import START_MS, Line
from tests.stage.scene import scene

ONCE = "audiences: [{id: once, name: Once, rule: {event: view}}]"
YEAR_10000_MS = 253_402_300_800_000
DEEP = b'{"user_id": "u", "event": "view", "properties": {"a": ' + b"[" * 50 + b"]" * 50 + b"}}"


def track(**more: object) -> bytes:
    return json.dumps({"user_id": "u", "event": "view", **more}).encode()


def profile(**more: object) -> bytes:
    return json.dumps({"type": "profile", "user_id": "u", **more}).encode()


BAD: list[tuple[str, bytes | None]] = [
    ("null_value", None),
    ("not_json", b""),
    ("not_json", b"not json"),
    ("not_json", b'{"user_id": "u", "event": "view"'),
    ("empty_batch", b"[]"),
    ("invalid", b'{"event": "view"}'),
    ("invalid", track(user_id=7.5)),
    ("invalid", track(type="page")),
    ("user_id", track(user_id="")),
    ("user_id", track(user_id="x" * 600)),
    ("user_id", track(user_id="a\0b")),
    ("project", track(project="no spaces")),
    ("event", track(event=None)),
    ("event", track(event="x" * 600)),
    ("time", track(time="yesterday")),
    ("invalid", track(properties=[1])),
    ("too_deep", DEEP),
    ("too_large", track(properties={"x": "y" * 5000})),
    ("too_large", b'"' + b"z" * 990_000 + b'"'),
    ("identities", track(identities={"email": "x" * 600})),
    ("id", track(id="x" * 600)),
    ("empty_update", profile()),
    ("attribute", profile(set={"": 1})),
    ("attributes_too_large", profile(set={"a": "b" * 3000})),
]
KEYS = [b"u", None, b"\xff\x00", b'"u"']


async def test_every_bad_record_has_its_dead_letter(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define(ONCE)
        home = partition_of("u", 2)
        lines: list[Line] = [Line(START_MS, b"u", profile(set={"a": 1}))]
        codes: dict[int, str] = {}
        for number, (code, value) in enumerate(BAD):
            codes[len(lines)] = code
            lines.append(Line(START_MS + number, KEYS[number % len(KEYS)], value))
            good = next(name for name in (f"good-{number}-{at}" for at in range(99)) if _home(name) == home)
            lines.append(Line(START_MS + number, good.encode(), track(user_id=good)))
        codes[len(lines)] = "timestamp"
        lines.append(Line(YEAR_10000_MS, b"u", track()))
        await stage.send(home, lines, headers=[("trace", b"abc")])
        worker = stage.worker(records__max_bytes=4000, records__max_attributes_bytes=2000)
        worker.start()
        await stage.finished()
        letters = await stage.read(stage.dead_letters)
        assert len(letters) == len(codes)
        for letter in letters:
            headers = dict(letter.headers)
            offset = int(headers["source.offset"])
            assert (letter.key, letter.value) == (lines[offset].key, lines[offset].value)
            assert headers["error.code"].decode() == codes.pop(offset), headers
            assert headers["error.message"]
            assert headers["error.stage"] in (b"decode", b"validate", b"apply")
            assert headers["source.topic"].decode() == stage.events
            assert int(headers["source.partition"]) == home
            assert int(headers["source.timestamp"]) == lines[offset].timestamp
            assert headers["trace"] == b"abc"
        assert not codes
        outcome = await stage.outcome()
        assert len(outcome.bodies) == len(BAD)
        status, metrics = await worker.get("/metrics")
        assert status == 200
        assert f'turnstile_records_total{{outcome="dead_letter"}} {len(letters)}.0' in metrics


def _home(name: str) -> int:
    return partition_of(name, 2)

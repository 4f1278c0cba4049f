"""What a worker reads and writes in a real run is as ``turnstile topology --asyncapi`` says of its topics."""

from __future__ import annotations

import json
from pathlib import Path

from app.asyncapi.document import asyncapi_of
from app.settings.tree import load_settings
from tests.app.asyncapi.contract import Contract
from tests.stage.log import Line, make_log
from tests.stage.scene import scene

BAD = (b"not json", b'{"user_id": 7.5}', b'{"user_id": "u", "type": "profile"}', b"[]", b'{"user_id": ""}')


async def test_records_of_a_real_run_are_as_the_contract_says(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    environ = {"TURNSTILE_TOPICS__PREFIX": topic_prefix, "TURNSTILE_WORKER__APP_ID": topic_prefix}
    contract = Contract(asyncapi_of(load_settings(environ=environ)))
    async with scene(broker, topic_prefix, tmp_path, partitions=2, idempotence=False) as stage:
        await stage.define()
        log = make_log(2, 400, 30, partitions=2, bad=0)
        await stage.load(log)
        await stage.send(0, [Line(log.at_ms, b"u", value) for value in BAD])
        stage.worker(kafka__idempotence=False).start()
        await stage.finished()
        events = await stage.read(stage.events)
        transitions = await stage.read(stage.transitions)
        letters = await stage.read(stage.dead_letters)
    good = [record for record in events if record.value not in BAD]
    assert len(good) == 400
    for record in good:
        body = json.loads(record.value)
        kind = body.get("type", "track")
        assert kind in contract.messages_of(stage.events)
        assert contract.why_not_payload(kind, body) == []
    causes = set()
    assert transitions
    for record in transitions:
        body = json.loads(record.value)
        causes.add(body["cause"])
        assert contract.why_not_payload("transition", body) == []
        assert contract.why_not_headers("transition", record.headers) == []
        assert record.key == body["user_id"].encode()
        assert (body["exit_at"] is None) or body["event"] == "enter"
        assert (body["trigger"] is None) is (body["cause"] in ("time", "definition"))
    assert {"event", "time"} <= causes
    assert len(letters) == len(BAD)
    for record in letters:
        assert contract.why_not_headers("deadLetter", record.headers) == []
        assert record.value in BAD

"""Connections on a real delivery worker: who may make, use and delete them; destinations that use one."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from agents.kafka.broker import Broker
from agents.kafka.clients import new_consumer
from agents.registry.audit import AuditRecord, read_audit
from tests.app.http.lab import api_key
from tests.deliver.service.test_http_access import BODIES
from tests.stage.delivery import scene, transition
from tests.stage.receiver import receiver
from tests.stage.workers import until


async def test_a_connection_is_made_used_and_kept_as_long_as_it_is_used(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    keys = [
        api_key("root", "admin"),
        api_key("maker", "admin", projects=["one"]),
        api_key("user", "destinations", projects=["one"]),
        api_key("stranger", "destinations", projects=["two"]),
        api_key("team", "destinations", projects=["one"]),
        api_key("other", "destinations", projects=["one"]),
    ]
    async with (
        scene(broker, topic_prefix, tmp_path, 1) as stage,
        receiver() as hook,
        ClientSession() as session,
    ):
        deliverer = stage.deliverer(http__api_keys=json.dumps(keys))
        deliverer.start()
        await until(deliverer.is_ready, "it is ready", 40, [deliverer])

        async def ask(
            key: str,
            path: str,
            method: str = "GET",
            text: str | bytes | None = None,
            match: str | None = None,
        ) -> tuple[int, dict[str, Any]]:
            headers = {"api-key": key, **({} if match is None else {"If-Match": match})}
            url = f"{deliverer.url}/v1/{path}"
            async with session.request(method, url, headers=headers, data=text) as answer:
                body = await answer.read()
                return answer.status, json.loads(body) if body else {}

        crm = f"""
name: crm
kind: webhook
project: one
label: The CRM
use: {{keys: [user]}}
administer: [team]
webhook:
  url: {hook.url}
  parameters: {{text: {{required: true}}, percent: {{type: number, default: 5}}}}
  json: {{text: "${{text}}", percent: "${{percent}}"}}
"""
        one = "connections/crm?project=one"
        assert [(await ask(key, one, "PUT", crm))[0] for key in ("user", "team", "stranger")] == [403] * 3
        code, told = await ask("maker", one, "PUT", crm.replace("json", "jsn"))
        assert (code, [each["path"] for each in told["errors"]]) == (422, ["webhook.jsn"])
        assert (await ask("maker", one, "PUT", crm))[0] == 201
        assert (await ask("maker", one, "PUT", crm))[0] == 428
        assert (await ask("maker", one, "PUT", crm, '"7"'))[0] == 412

        # Who may use it sees what there is to fill in; the definition is for those who administer it.
        code, seen = await ask("user", one)
        assert (code, seen["label"], "definition" in seen) == (200, "The CRM", False)
        assert seen["parameters"]["text"] == {"type": "text", "required": True}
        assert (await ask("team", one))[1]["definition"]["webhook"]["url"] == hook.url
        assert (await ask("stranger", one))[0] == 403
        assert (await ask("stranger", "connections"))[1]["connections"] == []

        mine = """
name: mine
kind: webhook
project: one
connection: crm
webhook:
  parameters: {text: "Dear ${who}"}
  variables: {who: {field: user_id}}
"""
        assert (await ask("maker", "destinations/mine", "PUT", mine.replace("text:", "texd:")))[0] == 422
        assert (await ask("user", "destinations/mine", "PUT", mine))[0] == 201
        assert (await ask("team", "destinations/mine", "PUT", mine))[0] == 200, "who administers may use it"
        assert (await ask("other", "destinations/mine", "PUT", mine))[0] == 422
        for method in ("PUT", "DELETE"):
            assert (await ask("user", "destinations/mine", method, mine, '"7"'))[0] == 412
        assert (await ask("user", "destinations/mine", "PUT", mine, '"1"'))[0] == 200
        assert (await ask("other", one))[0] == 404

        async def is_running() -> bool:
            return (await ask("root", "destinations/mine"))[1].get("state") == "running"

        await until(is_running, "it runs", 40, [deliverer])
        await stage.send([transition("u1", 1, project="one")])

        async def is_taken() -> bool:
            return bool(hook.taken)

        await until(is_taken, "the receiver has it", 40, [deliverer])
        assert hook.taken[0] == {"text": "Dear u1", "percent": 5}

        # A test send shows where it went to those alone who may see the connection's definition.
        for key, is_seen in (("user", False), ("team", True)):
            code, tried = await ask(key, "destinations/mine:test", "POST", '{"variables": {"who": "Zed"}}')
            (exchange,) = tried["exchanges"]
            assert (code, tried["ok"], hook.url in str(tried)) == (200, True, is_seen)
            assert json.loads(exchange["request"]["body"])["text"] == "Dear Zed"
        del hook.taken[1:]

        # A change reaches those who use it; one that breaks them is refused, and so is deletion.
        code, told = await ask("team", one, "PUT", crm.replace("text: {required", "txt: {required"), '"1"')
        assert (code, told["title"]) == (422, "Not a connection")
        broken = crm.replace("text: {required", "more: {required: true}, text: {required")
        code, told = await ask("team", one, "PUT", broken, '"1"')
        assert (code, "'mine'" in str(told["detail"])) == (409, True)
        assert (await ask("team", one, "PUT", crm.replace("[team]", "[team, user]"), '"1"'))[0] == 403
        assert (await ask("team", one, "PUT", crm.replace("default: 5", "default: 7"), '"1"'))[0] == 200
        numbers = count(1)

        async def is_changed() -> bool:
            # The first ones may still go the way that they went before.
            await stage.send([transition("u2", next(numbers), project="one")])
            return {"text": "Dear u2", "percent": 7} in hook.taken

        await until(is_changed, "the receiver has the change", 40, [deliverer])
        code, told = await ask("team", one, "DELETE", match="*")
        assert (code, [each["message"] for each in told["errors"]]) == (
            409,
            ["connection 'crm' is used by destination 'mine' of project 'one': change or delete that first"],
        )
        assert (await ask("maker", "destinations/mine", "DELETE"))[0] == 204
        assert (await ask("team", one, "DELETE", match='"2"'))[0] == 204
        assert (await ask("maker", one))[0] == 404
        for body in BODIES:
            assert (await ask("maker", "connections/mine?project=one", "PUT", body))[0] == 422, body
            assert (await ask("maker", "connections/mine:test?project=one", "POST", body))[0] in (400, 404)
        for path in ("/%FF", "/%00", "/..", "/a%2Fb", "/a:b:test", "/" + "x" * 7000, "?projekt=one"):
            assert (await ask("root", f"connections{path}", "PUT", crm))[0] in (400, 404, 405, 422), path
        assert not deliverer.logged("Traceback"), deliverer.log()
        async with new_consumer(Broker(broker)) as consumer:
            told_all = [each async for each in read_audit(consumer, f"{topic_prefix}.audit")]
        shown = [
            (e.by, e.id, e.action, e.version)
            for e in told_all
            if isinstance(e, AuditRecord) and e.kind == "connection"
        ]
        assert shown == [
            ("maker", "crm", "created", 1),
            ("team", "crm", "changed", 2),
            ("team", "crm", "deleted", 3),
        ]

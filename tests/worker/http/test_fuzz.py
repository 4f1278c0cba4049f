"""Requests by chance to every path of every process: no fault of ours, and every refusal in its form."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout
from jsonschema import Draft202012Validator
from yarl import URL

from tests.app.http.lab import api_key
from tests.stage.delivery import DelivererProcess
from tests.stage.fuzz import Request, Requests
from tests.stage.readers import reader_of
from tests.stage.scene import scene

EACH, FEWER = 24, 3
"""Requests to each operation, and to each that writes to Kafka or has a long answer."""
SLOW = (":release", ":take-back", ":rebuild", ":restore", "-notify/delete", "/openapi.json", "/metrics")
FANS = "audiences: [{id: fans, name: Fans, rule: {event: view}}]"
SENSORS = "/api/v3/focus/v1/"
ROOT, NOBODY, WRONG, MAILER = ({"api-key": each} for each in ("root", "nobody", "wrong", "mailer"))
LOOKUPS = ("/v1/lookup", "/v1/users/{user_id}", "/v1/audiences/{audience}/members/{user_id}")
"""Some that the scope ``destinations`` isn't for."""


class Fuzzed:
    """One process, asked through what it says of itself."""

    def __init__(self, session: ClientSession, url: str, document: Mapping[str, Any]) -> None:
        self._session = session
        self._url = url
        self._document = document
        self.statuses: Counter[int] = Counter()

    async def ask(self, request: Request, operation: Mapping[str, Any], key: Mapping[str, str]) -> int:
        url = URL(self._url + request.path, encoded=True)
        data = None if request.body is None else io.BytesIO(request.body)
        headers = {**request.headers, **key}
        async with self._session.request(
            request.method, url, data=data, headers=headers, allow_redirects=False
        ) as answer:
            is_endless = answer.content_type == "text/event-stream"
            body = b"" if is_endless else await answer.read()
            self.statuses[answer.status] += 1
            shown = (request, answer.status, body[:300])
            assert answer.status in (503, 501) or answer.status < 500, shown
            if answer.status >= 400:
                self._check_refusal(request, answer.status, answer.content_type, body)
                return answer.status
            described = operation["responses"].get(str(answer.status))
            assert described is not None, ("a status that isn't described", shown)
            schema = described.get("content", {}).get(answer.content_type, {}).get("schema")
            if answer.content_type == "application/json":
                assert schema is not None, ("a body that isn't described", shown)
                self._validate(schema, body)
            return answer.status

    def _check_refusal(self, request: Request, status: int, content_type: str, body: bytes) -> None:
        told = json.loads(body)
        shown = (request, status, body[:300])
        if request.template.startswith(SENSORS):
            assert (content_type, told["data"]) == ("application/json", None), shown
            assert told["code"] != "SUCCESS", shown
            told = told["error_info"]
        elif request.template != "/readyz":
            assert content_type == "application/problem+json", shown
        assert told["status"] == status, shown
        self._validate({"$ref": "#/components/schemas/ProblemDetails"}, json.dumps(told).encode())

    def _validate(self, schema: Mapping[str, Any], body: bytes) -> None:
        Draft202012Validator({**self._document, **schema}).validate(json.loads(body))


async def test_no_request_is_a_fault_of_ours_and_every_refusal_has_its_form(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    timeout = ClientTimeout(total=30)
    async with (
        scene(kafka, topic_prefix, tmp_path, partitions=2) as stage,
        ClientSession(timeout=timeout) as session,
    ):
        await stage.define(FANS)
        nobody, mailer = api_key("nobody", "admin", projects=["nobody"]), api_key("mailer", "destinations")
        keys = json.dumps([api_key("root", "admin"), nobody, mailer])
        worker = stage.worker(http__api_keys=keys)
        deliverer = DelivererProcess("d1", tmp_path, worker.settings)
        stage.workers.append(deliverer)
        reader = reader_of(stage, http__api_keys=keys)
        for each in (worker, deliverer, reader):
            each.start()
        for each in (worker, deliverer, reader):
            await each.wait_ready()

        async def fuzz(url: str) -> Counter[int]:
            async with session.get(f"{url}/openapi.json") as answer:
                document = await answer.json()
            fuzzed = Fuzzed(session, url, document)
            for request, operation, number in Requests(document, seed=13).of_each(EACH, SLOW, FEWER):
                security = operation.get("security")
                if number == 0 and security and {} not in security:
                    # 404: no route has such a path, whoever asks.
                    for key in ({}, WRONG):
                        assert await fuzzed.ask(request, operation, key) in (401, 404), (request, key)
                    if request.template in LOOKUPS:
                        assert await fuzzed.ask(request, operation, MAILER) in (403, 404), request
                await fuzzed.ask(request, operation, NOBODY if number % 4 == 3 else ROOT)
            return fuzzed.statuses

        found = await asyncio.gather(*(fuzz(each.url) for each in (worker, deliverer, reader)))
        for statuses in found:
            assert {200, 400, 401} <= statuses.keys(), statuses
        for each in (worker, deliverer, reader):
            each.check()
            assert not each.logged("request_failed")

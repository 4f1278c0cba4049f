"""Kafka away: one line when it is lost, one when it is back, and every process says so when it is asked."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agents.kafka.broker import Broker
from agents.pushes.contract.target import Delivered, TargetUnavailable
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.kafka_clients import KafkaPlace
from app.kafka.embedded import start_tied
from bench.kafka.apache import ApacheKafka
from bench.kafka.clients import make_topic
from tests.pushes.targets.spools import members, no_progress, spooled
from tests.pushes.targets.test_kafka import CONTENT, committed, end_records, rows_of
from tests.stage.delivery import many
from tests.stage.delivery import scene as delivery_scene
from tests.stage.log import make_log
from tests.stage.receiver import receiver
from tests.stage.scene import scene
from tests.stage.workers import COMMAND, ROOT, Worker, environment, until

AWAY_SECONDS = 6
USERS, ATTEMPTS = 500, 180
LINES = 30
"""So many in the whole outage; it were some thousands."""


class _Lines:
    """What a process has logged since this was made."""

    def __init__(self, worker: Worker) -> None:
        self._file = worker.log_file
        self._before = len(self._all())

    def _all(self) -> list[str]:
        return self._file.read_text(errors="replace").splitlines()

    def found(self, pattern: str = "") -> list[str]:
        return [line for line in self._all()[self._before :] if re.search(pattern, line)]


async def _warnings(worker: Worker) -> dict[str, str]:
    _, body = await worker.get("/readyz?verbose")
    return {each["code"]: each["text"] for each in body["warnings"]}


async def _deliver_status(stage_settings: dict[str, object], *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.main",
        "deliver",
        "status",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(stage_settings),
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


@pytest.mark.slow
async def test_kafka_that_goes_and_comes_back_is_told_once(
    kafka_node: ApacheKafka, topic_prefix: str, tmp_path: Path
) -> None:
    bootstrap, log = kafka_node.bootstrap, make_log(91, records=2_000, users=300)
    async with (
        scene(bootstrap, topic_prefix, tmp_path) as stage,
        delivery_scene(bootstrap, f"{topic_prefix}-d", tmp_path) as delivery,
        receiver() as hook,
    ):
        await stage.define()
        await delivery.define(f"{{name: crm, kind: webhook, webhook: {{url: '{hook.url}'}}}}")
        worker, deliverer = stage.worker(), delivery.deliverer()
        worker.start()
        deliverer.start()
        await worker.wait_ready()

        async def is_running() -> bool:
            return (await deliverer.status("crm"))["state"] == "running"

        await until(is_running, "it delivers", 40, [deliverer])
        lines = {each: _Lines(each) for each in (worker, deliverer)}
        kafka_node.kill()
        try:
            for process in lines:
                lost = lines[process]
                await until(lambda lost=lost: lost.found("is lost: no broker answers"), "told", 30, [process])
                assert "is lost" in (await _warnings(process))["kafka_lost"]
            status = await deliverer.status("crm")
            assert (status["state"], status["lag"]) == ("unreachable", None)
            assert status["unreachable_since"].startswith("20")
            code, out, error = await _deliver_status(deliverer.settings)
            assert code == 0
            assert re.search(r"crm +webhook +unreachable +-", out)
            assert f"Kafka can't be reached at {bootstrap}" in error
            assert deliverer.url in error
            code, out, _ = await _deliver_status(deliverer.settings, "--json")
            (told,) = json.loads(out)
            assert (told["state"], told["lag"], told["dead_letters_waiting"]) == ("unreachable", None, None)
            code, out, error = await _deliver_status({**deliverer.settings, "deliver.port": 1})
            assert (code, out) == (2, "")
            assert "no delivery worker answers at http://127.0.0.1:1" in error
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            kafka_node.restart()
        for process in lines:
            back = lines[process]
            await until(lambda back=back: back.found(r"is back after \d+"), "told", 60, [process])
            assert "kafka_lost" not in await _warnings(process)
        await stage.load(log)
        await stage.finished()
        bodies = await delivery.send(many(20))
        await until(lambda: len(hook.taken) == len(bodies), "all are delivered", 60, [deliverer])
        await until(is_running, "it runs again", 30, [deliverer])
        for process, found in lines.items():
            assert len(found.found("is lost: no broker")) == 1, process.log()
            assert len(found.found("is back after")) == 1, process.log()
            assert len(found.found()) < LINES, process.log()
            assert found.found(r"\d\d+ repeated lines of the client libraries were left out")
        worker.stop()
        deliverer.end()


@pytest.mark.parametrize("program", ["worker", "deliver"])
def test_a_start_that_waits_for_a_silent_broker_ends_when_it_is_asked_to(
    program: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        given = {"kafka.bootstrap": f"127.0.0.1:{silent.getsockname()[1]}", "worker.data_dir": str(tmp_path)}
        process = start_tied([*COMMAND, program], tmp_path / "log", environment(given))
        connection, _ = silent.accept()
        process.terminate()
        try:
            assert process.wait(20) == 0, (tmp_path / "log").read_text()
        finally:
            process.kill()
            connection.close()


async def test_a_list_is_there_once_though_its_broker_is_killed_before_the_commit(
    kafka_node: ApacheKafka, topic_prefix: str, tmp_path: Path
) -> None:
    await make_topic(kafka_node.bootstrap, topic_prefix, 2)
    place = KafkaPlace(Broker(kafka_node.bootstrap), topic_prefix, transactional_prefix=f"{topic_prefix}.")
    list_ = spooled(tmp_path, CONTENT, [members(USERS)])
    starting: list[asyncio.Future[None]] = []

    async def kill_once() -> None:
        if not starting:
            kafka_node.kill()
            kafka_node._launch(1)  # in this thread, which it ends with
            starting.append(asyncio.ensure_future(asyncio.to_thread(kafka_node.wait_ready)))

    async def delivered() -> Delivered:
        for _ in range(ATTEMPTS):
            try:
                return await KafkaTarget(place).deliver(list_, no_progress, kill_once)
            except TargetUnavailable:
                await asyncio.sleep(0.5)
        raise AssertionError("the list isn't delivered")

    try:
        found = await delivered()
    finally:
        await asyncio.gather(*starting)
    rows = rows_of(records := await committed(place))
    assert found.rows == USERS == len(rows) == len({each["email"] for each in rows})
    assert [each["list_id"] for each in end_records(records)] == [list_.list_id]

"""Targets made from published connections, with secrets that the settings declare."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from aiohttp import web

from agents.connections.parse import load_connections
from agents.connections.published import PublishedConnection
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.hosts import HostPattern
from agents.deliver.secrets.secrets import Declared, Secrets, SecretSources
from agents.kafka.broker import Broker
from agents.pushes.contract.push import Content, Push, RowFormat
from agents.pushes.contract.target import TargetRefused
from agents.pushes.targets.confirmation import is_confirmation
from agents.pushes.targets.kafka import KafkaTarget
from agents.pushes.targets.made import Callbacks, ConnectedTargets
from app.deliver.connections.trial import ConnectionTest, try_connection
from app.kafka.embedded import free_ports
from app.settings.tree import Settings
from bench.kafka.clients import make_topic
from tests.pushes.targets.sftp_server import PASSWORD, Running, sftp_server
from tests.pushes.targets.spools import CONTENT, no_progress, spooled

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
SIGNING = "whsec_" + base64.b64encode(b"signing-secret-of-24-byte").decode()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    root = tmp_path / "server"
    root.mkdir()
    async with sftp_server(root, HOST_KEY) as running:
        yield running


def targets(connections: str, hosts: str = "127.0.0.1", **made: Any) -> ConnectedTargets:
    found = load_connections([("connections.yaml", connections)])
    published = {each.key: PublishedConnection(each, 1) for each in found}
    declared = {
        "sftp-password": Declared("sftp-password", (HostPattern.parse(hosts),), env="SFTP_PASSWORD"),
        "signing": Declared("signing", (HostPattern.parse("127.0.0.1"),), env="SIGNING"),
    }
    environ = {"SFTP_PASSWORD": PASSWORD, "SIGNING": SIGNING}

    def context_of(project: str) -> SinkContext:
        secrets = Secrets(SecretSources(declared, environ=environ), project)
        return SinkContext(secrets, Broker("127.0.0.1:1"), allow_private=True)

    return ConnectedTargets(lambda: published, context_of, **made)


def sftp_yaml(server: Running) -> str:
    (fingerprint,) = server.place.fingerprints
    return (
        f"{{name: store, kind: sftp, sftp: {{host: 127.0.0.1, port: {server.place.port}, user: turnstile, "
        f"password: {{secret: sftp-password}}, fingerprints: ['{fingerprint}'], folder: lists}}}}"
    )


def push(**target: str) -> Push:
    return Push("buyers", "buyers", "store", content=CONTENT, target=target)


async def test_a_list_goes_to_the_server_that_its_connection_names(server: Running, tmp_path: Path) -> None:
    made = targets(sftp_yaml(server))
    to = await made.of(push())
    delivered = await to.deliver(spooled(tmp_path), no_progress)
    await to.close()

    assert (to.queue, delivered.rows) == ("other", 5)
    assert (server.root / "lists/default/buyers/run-1/_SUCCESS").exists()


async def test_a_module_is_told_by_a_webhook_of_its_own(server: Running, tmp_path: Path) -> None:
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.headers["x-module"], await request.json()))
        return web.Response()

    (port,) = free_ports(1)
    app = web.Application()
    app.router.add_post("/lists", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    webhook = (
        f"{{name: crm, kind: webhook, webhook: {{url: 'http://127.0.0.1:{port}/lists', "
        "headers: {x-module: crm}, signing_secret: {secret: signing}}}"
    )
    callbacks = Callbacks("https://us.example/confirmed", "callback-secret")
    made = targets(f"connections:\n- {sftp_yaml(server)}\n- {webhook}\n", callbacks=callbacks)
    to = await made.of(push(notify="crm", folder="crm"))
    await to.deliver(spooled(tmp_path), no_progress)
    await to.close()
    await runner.cleanup()

    ((header, body),) = got
    assert (to.queue, header, body["rows"]) == ("module", "crm", 5)
    assert body["callback"]["url"] == "https://us.example/confirmed/run-1/list-1"
    assert is_confirmation("callback-secret", "run-1", "list-1", body["callback"]["token"])
    assert (server.root / "lists/crm/run-1/_SUCCESS").exists()


async def test_a_secret_goes_only_where_the_settings_let_it(server: Running) -> None:
    made = targets(sftp_yaml(server), hosts="files.example")
    with pytest.raises(TargetRefused, match=r"may be sent to files\.example") as raised:
        await made.of(push())
    assert PASSWORD not in str(raised.value)


def test_all_that_is_wrong_with_a_target_is_told_at_once(server: Running) -> None:
    made = targets(sftp_yaml(server), origins=lambda project: {"city": "social_interaction"})
    wrong = push(folder="../up", notify="nobody", profile="social_interaction", topik="x")
    assert made.problems(wrong) == (
        "target: unknown 'topik'; allowed: folder, notify, profile",
        "target.folder must not hold '.', '..', a backslash or a control character",
        "Social Interaction doesn't take the id type email; allowed: maiscrm_id",
        "city came from Social Interaction, so it isn't pushed back there",
        "target.notify: project 'default' has no connection 'nobody'; allowed: store",
    )
    assert (
        "no connection 'stor'; did you mean 'store'?" in made.problems(replace(push(), connection="stor"))[0]
    )
    to_file = replace(push(), content=Content(format=RowFormat("kafka")))
    assert made.problems(to_file) == (
        "content.format is kafka; a connection of the kind sftp takes csv, jsonl",
    )


@pytest.mark.parametrize(
    ("target", "queue"),
    [
        ({"profile": "retail_crm"}, "module"),
        ({"profile": "social_interaction"}, "module"),
        ({"profile": "data_bank", "notify": "crm"}, "other"),
        ({"notify": "crm"}, "module"),
        ({}, "other"),
    ],
)
def test_pushes_of_internal_modules_have_a_queue_of_their_own(
    server: Running, target: dict[str, str], queue: str
) -> None:
    assert targets(sftp_yaml(server)).queue_of(push(**target)) == queue


def test_a_webhook_that_leaves_something_open_is_told_when_the_push_is_published(server: Running) -> None:
    webhook = "{name: crm, kind: webhook, webhook: {url: 'http://127.0.0.1/${user_id}', method: PUT}}"
    made = targets(f"connections:\n- {sftp_yaml(server)}\n- {webhook}\n")
    assert made.problems(push(notify="crm")) == (
        "target.notify: a notification is a POST, and its webhook says PUT",
        "target.notify: a notification fills in no variables, and the url of its webhook has user_id",
    )


async def test_a_list_goes_to_the_topic_that_its_push_names(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    await make_topic(kafka, topic_prefix, 1)
    made = targets(f"{{name: store, kind: kafka, kafka: {{bootstrap: '{kafka}'}}}}")
    list_ = spooled(tmp_path, replace(CONTENT, format=RowFormat("kafka")))
    asked = replace(list_.push, target={"topic": topic_prefix, "compression": "zstd"})
    wrong = replace(asked, target={"topic": topic_prefix, "compression": "zst"})
    (problem,) = made.problems(wrong)
    assert problem.startswith("target.compression can't be 'zst'; did you mean 'zstd'?")
    assert made.problems(list_.push) == ("target: a push to Kafka needs 'topic'",)
    to = await made.of(asked)
    assert (await to.deliver(list_, no_progress)).rows == 5
    assert (to.queue, made.queue_of(asked)) == ("kafka", "kafka")
    assert isinstance(to, KafkaTarget)
    assert to._place.compression == "zstd"


async def test_a_test_of_a_connection_writes_a_file(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_OF_SFTP", PASSWORD)
    secret = {"name": "sftp-password", "source": {"env": "PASSWORD_OF_SFTP"}, "hosts": ["127.0.0.1"]}
    settings = Settings.model_validate({"deliver": {"allow_private": True, "secrets": [secret]}})
    (connection,) = load_connections([("connections.yaml", sftp_yaml(server))])
    found = await try_connection(settings, connection, ConnectionTest())
    assert (found.ok, found.outcome) == (True, "a file could be written")
    assert not list((server.root / "lists").iterdir())
    server.faults.refuses_writes = True
    found = await try_connection(settings, connection, ConnectionTest())
    assert (found.ok, "not here" in found.outcome) == (False, True)

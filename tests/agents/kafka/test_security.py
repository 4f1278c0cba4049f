"""Connections to a real cluster that lets in only who has a good password, certificate or token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin, new_consumer, new_producer
from agents.kafka.security import OAuth, Security
from agents.kafka.tokens import Tokens
from agents.restore.ahead import Job
from agents.topics import create_topics
from agents.topics.written import WrittenTopics
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.kafka.configured import broker_of
from app.settings.tree import load_settings
from bench.kafka.apache import ApacheKafka
from bench.kafka.secure import Secure, TokenChecks
from tests.brokers.provision import Brokers
from tests.brokers.tokens import CLIENT_ID, CLIENT_SECRET, TokenServer, token_server
from tests.certificates import Authority
from tests.stage.scene import scene

PASSWORD = "p4ss-0f-the-cluster"
SESSION_MS = 4_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """A node with secure listeners, who vouches for all certificates, and the server of tokens."""

    node: ApacheKafka
    authority: Authority
    tokens: TokenServer
    folder: Path

    def settings(self, mechanism: str) -> dict[str, str]:
        """What lets us in: an account, tokens, or a certificate (``TLS``)."""
        cafile, node = str(self.authority.file), self.node
        if mechanism == "TLS":
            (self.folder / "client").mkdir(exist_ok=True)
            cert, key = self.authority.issue(self.folder / "client", "worker.example")
            given = {"security_protocol": "SSL", "bootstrap": node.mutual_bootstrap}
            return {**given, "ssl_cafile": cafile, "ssl_certfile": str(cert), "ssl_keyfile": str(key)}
        given = {"security_protocol": "SASL_SSL", "bootstrap": node.secure_bootstrap, "ssl_cafile": cafile}
        given |= {"sasl_mechanism": mechanism}
        if mechanism == "OAUTHBEARER":
            given |= {"oauth_token_url": self.tokens.url, "oauth_cafile": cafile, "oauth_scope": "kafka"}
            return {**given, "oauth_client_id": CLIENT_ID, "oauth_client_secret": CLIENT_SECRET}
        return {**given, "sasl_username": "turnstile", "sasl_password": PASSWORD}

    def broker(self, mechanism: str, **changed: str) -> Broker:
        return broker_of(settings_of({**self.settings(mechanism), **changed}))


def settings_of(given: dict[str, str]):  # type: ignore[no-untyped-def]
    return load_settings(environ={f"TURNSTILE_KAFKA__{name.upper()}": each for name, each in given.items()})


@pytest.fixture
async def cluster(kafka: str, brokers: Brokers, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Skipped where ``kafka`` is: it can't be started there."""
    authority = Authority(tmp_path)
    cert, key = authority.issue(tmp_path, "127.0.0.1")
    (tmp_path / "node.pem").write_bytes(key.read_bytes() + cert.read_bytes())
    async with token_server(tmp_path, (cert, key)) as tokens:
        node = await asyncio.to_thread(
            brokers.start_kafka,
            1,
            Secure(
                "turnstile",
                PASSWORD,
                tmp_path / "node.pem",
                authority.file,
                TokenChecks(tokens.keys, "kafka", SESSION_MS),
            ),
        )
        yield Cluster(node, authority, tokens, tmp_path)
        await asyncio.to_thread(node.stop)


async def round_trip(broker: Broker, topic: str, text: bytes) -> list[bytes | None]:
    """Make a topic, write to it, read all of it."""
    admin = new_admin(broker)
    try:
        await admin.start()
        await create_topics(admin, {topic: (1, {})}, 1)
    finally:
        await admin.close()
    async with new_producer(broker, idempotence=True) as producer:
        await producer.send_and_wait(topic, text)
    async with new_consumer(broker) as consumer:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        return [each.value for each in (await consumer.getmany(timeout_ms=5000))[tp]]


async def refused(given: dict[str, str]) -> str:
    """What a command says that isn't let in."""
    with pytest.raises(CommandFailed) as failed:
        async with connected_admin(settings_of(given)):
            pass
    return str(failed.value)


async def test_every_client_is_let_in_by_each_mechanism_and_a_wrong_secret_is_told_but_not_shown(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "aiokafka")
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "TLS"):
        text = mechanism.encode()
        assert await round_trip(cluster.broker(mechanism), mechanism, text) == [text]
    assert {each["scope"] for each in cluster.tokens.forms} == {"kafka"}
    # A child that restores gets the same through its standard input.
    topics = WrittenTopics("c", "t", "r", 1, 1)
    job = Job(cluster.broker("OAUTHBEARER"), topics, "/d", 1, 1)
    came = msgspec.json.decode(msgspec.json.encode(job), type=Job)
    assert came == job
    assert await round_trip(came.broker, "child", b"x") == [b"x"]

    told = []
    plain, tokens, tls = (cluster.settings(each) for each in ("PLAIN", "OAUTHBEARER", "TLS"))
    told.append(await refused({**plain, "sasl_password": "wr0ng-0ne"}))
    assert "doesn't let us in" in told[-1]
    told.append(await refused({**tokens, "oauth_client_secret": "wr0ng-0ne"}))
    assert "it answers 401, 'invalid_client: no such client'" in told[-1]
    assert "kafka.oauth_client_secret" in told[-1]
    cluster.tokens.audience = "another service"
    told.append(await refused(tokens))
    assert "the token is refused" in told[-1]
    cluster.tokens.status = 503
    told.append(await refused(tokens))
    assert "it answers 503" in told[-1]
    other = Authority(tmp_path, "other")
    (tmp_path / "wrong").mkdir()
    cert, key = other.issue(tmp_path / "wrong", "worker.example")
    told.append(await refused({**tls, "ssl_certfile": str(cert), "ssl_keyfile": str(key)}))
    told.append(
        await refused({each: tls[each] for each in tls if each not in ("ssl_certfile", "ssl_keyfile")})
    )
    for each in [*told, *(record.getMessage() for record in caplog.records), repr(job)]:
        for secret in (PASSWORD, CLIENT_SECRET, "wr0ng-0ne", *cluster.tokens.given):
            assert secret not in each
    assert any("aiokafka" in record.name for record in caplog.records)


async def test_a_renewed_certificate_is_shown_at_the_next_connection(cluster: Cluster) -> None:
    broker = cluster.broker("TLS")
    assert broker.security.ssl_certfile is not None
    folder = Path(broker.security.ssl_certfile).parent
    good = [each.read_bytes() for each in (folder / "tls.crt", folder / "tls.key")]
    Authority(cluster.folder, "other").issue(folder, "worker.example")
    producer = new_producer(broker, idempotence=False)  # with a certificate that nobody vouches for
    with pytest.raises(KafkaConnectionError):
        await producer.start()
    for name, content in zip(("tls.crt", "tls.key"), good, strict=True):
        (folder / name).write_bytes(content)
    try:
        await producer.start()
    finally:
        await producer.stop()


@pytest.mark.parametrize("mechanism", ["TLS", "OAUTHBEARER"])
async def test_a_worker_evaluates_and_a_command_publishes_over_secure_connections(
    cluster: Cluster, topic_prefix: str, tmp_path: Path, mechanism: str
) -> None:
    """With tokens the broker ends every connection after a few seconds, as hosted ones do."""
    given = {f"kafka__{name}": each for name, each in cluster.settings(mechanism).items()}
    given.pop("kafka__bootstrap")
    async with scene(cluster.node.bootstrap, topic_prefix, tmp_path, partitions=2) as stage:
        await stage.define("audiences: [{id: ever, name: Ever, rule: {event: view}}]")
        worker = stage.worker(**given)
        worker.settings["kafka.bootstrap"] = cluster.settings(mechanism)["bootstrap"]
        worker.start()
        await stage.until(worker.owns_all(2), "it owns all")
        for round_number in range(3):
            at = round_number * 10
            async with new_producer(cluster.broker(mechanism), idempotence=False) as producer:
                for number in range(at, at + 10):
                    await producer.send_and_wait(
                        f"{topic_prefix}.events",
                        b'{"user_id": "u%d", "event": "view"}' % number,
                        b"u%d" % number,
                    )
            await asyncio.sleep(SESSION_MS / 1000)

        async def all_in() -> bool:
            answers = [await worker.get(f"/v1/users/u{number}/audiences") for number in range(30)]
            return all(status == 200 and "ever" in str(body) for status, body in answers)

        await stage.until(all_in, "all are in the audience")
        worker.stop()


async def test_a_token_is_used_again_until_most_of_its_life_is_over(tmp_path: Path) -> None:
    now = 0.0
    async with token_server(tmp_path) as server:
        server.life_seconds = 100
        oauth = OAuth(server.url, CLIENT_ID, CLIENT_SECRET)
        tokens = Tokens(oauth, lambda: now)
        first = await asyncio.gather(*(tokens.token() for _ in range(5)))
        now = 79.0
        assert {*first, await tokens.token()} == {server.given[0]}
        now = 81.0
        assert await tokens.token() == server.given[1]
        assert "scope" not in server.forms[0]
        wrong = Tokens(replace(oauth, client_secret="wr0ng-0ne"))
        with pytest.raises(AuthenticationFailedError, match="401, 'invalid_client: no such client'") as told:
            await wrong.token()
        assert "wr0ng-0ne" not in str(told.value)
        server.status = 500
        with pytest.raises(KafkaConnectionError, match="it answers 500"):
            await wrong.token()
        server.status = 404
        with pytest.raises(AuthenticationFailedError, match="it answers 404"):
            await wrong.token()
    with pytest.raises(KafkaConnectionError, match="no token from"):
        await wrong.token()


def test_secrets_are_no_part_of_what_is_shown() -> None:
    oauth = OAuth("https://login.example/token", "id", CLIENT_SECRET)
    security = Security("SASL_SSL", "PLAIN", "me", PASSWORD, ssl_key_password="key-pass", oauth=oauth)
    for secret in (PASSWORD, CLIENT_SECRET, "key-pass"):
        assert secret not in repr(Broker("b:1", security))
    assert "login.example" in repr(security)

"""The Kafka sink on real clusters: what is too large, and clusters that let in only who has the password."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agents.deliver.definitions.hosts import Endpoint
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets.secrets import Secrets
from agents.kafka.broker import Broker
from agents.sinks.kafka.guard import KafkaGuard, guard_producer
from agents.topics import create_topics
from app.failures import CommandFailed
from app.kafka.admin import connected_admin
from app.settings.tree import load_settings
from bench.kafka.apache import ApacheKafka
from bench.kafka.secure import Secure
from tests.brokers.provision import Brokers
from tests.eventhub.deliveries import secrets_of
from tests.stage.delivery import many, transition
from tests.stage.delivery_engine import DeliveryLab, lab, messages
from tests.stage.workers import until

PASSWORD = "p4ss-0f-the-cluster"
WRONG = "wr0ng-0ne-of-last-year"


@asynccontextmanager
async def topic(bootstrap: str, name: str, **configs: str) -> AsyncIterator[None]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await create_topics(admin, {name: (1, configs)}, 1)
        yield
    finally:
        await admin.close()


async def keys_in(bootstrap: str, name: str) -> list[str]:
    tp = TopicPartition(name, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        found: list[str] = []
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [each.key.decode() for each in records]
        return found


async def test_brokers_refuse_batches_but_only_a_record_that_is_too_large_itself_is_a_dead_letter(
    kafka: str, topic_prefix: str
) -> None:
    name = f"{topic_prefix}.small"
    async with topic(kafka, name, **{"max.message.bytes": "4000"}):
        text = f"{{name: small, kind: kafka, kafka: {{topic: {name}}}}}"
        async with lab(text, broker=Broker(kafka)) as made:
            large = transition("large", 1, audience_name="x" * 5_000)
            await made.deliver(messages([*many(60, users=30), large, transition("large", 2)]), 20)
            assert [(message.user_id, code) for message, code, _ in made.buried] == [("large", "too_large")]
            found = await keys_in(kafka, name)
            assert len(found) == 61
            assert found.count("large") == 1


@pytest.fixture
def secure(kafka: str, brokers: Brokers, tmp_path: Path) -> Iterator[ApacheKafka]:
    """Skipped where ``kafka`` is: it can't be started there."""
    node = brokers.start_kafka(1, Secure("turnstile", PASSWORD, certificate(tmp_path)))
    yield node
    node.stop()


async def test_a_cluster_with_tls_and_passwords_takes_from_who_has_the_right_one_and_no_secret_is_told(
    secure: ApacheKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("kafka", "aiokafka"):
        caplog.set_level(logging.DEBUG, name)
    told: list[str] = []

    def text(mechanism: str, cafile: Path | None = tmp_path / "ca.pem") -> str:
        trust = "" if cafile is None else f"ssl_cafile: '{cafile}',"
        return f"""
{{name: away, kind: kafka, retry: {{first: 50ms, most: 100ms}}, kafka: {{topic: away,
  bootstrap: '{secure.secure_bootstrap}', security_protocol: SASL_SSL, sasl_mechanism: {mechanism}, {trust}
  sasl_username: turnstile, sasl_password: {{secret: PASSWORD}}, timeout: 3s}}}}"""

    def known(password: str, *hosts: str) -> Secrets:
        return secrets_of({"PASSWORD": password}, *hosts, folder=tmp_path)

    async def refused(definition: str, password: str, reason: str) -> None:
        made = DeliveryLab(definition, secrets=known(password))
        await tells(made, "misconfigured", reason)
        told.append(str(made.engine.report.last_error))

    async with topic(secure.bootstrap, "away"):
        await refused(text("PLAIN"), WRONG, "doesn't let us in")
        await refused(text("SCRAM-SHA-256"), WRONG, "doesn't let us in")
        await refused(text("PLAIN", None), PASSWORD, "certificate")
        # The brokers of the cluster are at 127.0.0.1, whatever the definition says.
        elsewhere = DeliveryLab(
            text("PLAIN").replace("127.0.0.1", "localhost"), secrets=known(PASSWORD, "localhost")
        )
        await tells(
            elsewhere, "misconfigured", "may be sent to localhost (deliver.secrets), not to 127.0.0.1"
        )
        told.append(str(elsewhere.engine.report.last_error))
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            async with lab(text(mechanism), secrets=known(PASSWORD)) as made:
                await made.deliver(messages([transition(mechanism, 1)]), 10)
        assert await keys_in(secure.bootstrap, "away") == ["PLAIN", "SCRAM-SHA-256"]
    for password, cafile, reason in (
        (WRONG, tmp_path / "ca.pem", "SaslAuth"),
        (PASSWORD, None, "certificate"),
    ):
        told.append(await command_fails(secure.secure_bootstrap, password, cafile))
        assert "doesn't let us in: " in told[-1]
        assert reason in told[-1]
    told += [record.getMessage() for record in caplog.records]
    assert any("aiokafka" in record.name for record in caplog.records)
    for each in told:
        assert PASSWORD not in each
        assert WRONG not in each


async def command_fails(bootstrap: str, password: str, cafile: Path | None) -> str:
    """What a command says that isn't let in."""
    given = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "turnstile"}
    given |= {"BOOTSTRAP": bootstrap, "SASL_PASSWORD": password, "SSL_CAFILE": str(cafile or "")}
    settings = load_settings(environ={f"TURNSTILE_KAFKA__{name}": each for name, each in given.items()})
    with pytest.raises(CommandFailed) as failed:
        async with connected_admin(settings):
            pass
    return str(failed.value)


async def tells(made: DeliveryLab, state: str, reason: str) -> None:
    """What an engine says that can't be opened."""
    opening = asyncio.create_task(made.engine.open())
    try:
        await until(lambda: made.engine.report.state == state, "it says so", 10)
        assert reason in str(made.engine.report.last_error)
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await made.engine.close()


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]], ids=["at once", "when dialled"]
)
async def test_nothing_is_sent_to_a_kafka_at_a_private_address_whatever_its_name(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(100))
        writer.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    real, asked = loop.getaddrinfo, iter(answers)

    async def rebound(host: object, port: object, **more: object) -> object:
        if host == "rebind.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(asked, answers[-1]), port))]
        return await real(host, port, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", rebound)
    text = f"{{name: a, kind: kafka, kafka: {{topic: t, bootstrap: 'rebind.example:{port}'}}}}"
    made = DeliveryLab(text, allow_private=False)
    await tells(made, "retrying", "127.0.0.1 is not an address of the public internet")
    server.close()
    await asyncio.sleep(0.05)
    assert b"".join(got) == b""


async def test_a_broker_that_joins_later_is_checked_before_it_is_asked(kafka: str) -> None:
    allowed = True

    def allow(place: Endpoint) -> None:
        if not allowed:
            raise SinkMisconfigured(f"not to {place}")

    guard = KafkaGuard(allow, allow_private=True)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    guard_producer(producer, guard)
    await producer.start()
    try:
        (node,) = [each.nodeId for each in producer.client.cluster.brokers()]
        assert await producer.client.ready(node)
        for each in producer.client._conns.values():
            each.close()
        allowed = False
        assert not await producer.client.ready(node)
        assert "not to 127.0.0.1" in str(guard.refusal)
    finally:
        await producer.stop()


@pytest.mark.parametrize("file", ["../ca.pem", "/proc/self/environ", "none.pem"])
async def test_certificates_are_read_from_the_folder_of_secrets_only(tmp_path: Path, file: str) -> None:
    certificate(tmp_path)
    (tmp_path / "secrets").mkdir()
    text = f"""{{name: a, kind: kafka, kafka: {{topic: t, bootstrap: '127.0.0.1:1', security_protocol: SSL,
      ssl_cafile: '{file}'}}}}"""
    made = DeliveryLab(text, secrets=secrets_of({}, folder=tmp_path / "secrets"))
    await tells(made, "misconfigured", f"the file {file}")


def certificate(folder: Path) -> Path:
    """A self-signed one for 127.0.0.1, with its key; by itself it lies in ``ca.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(public)
    (folder / "node.pem").write_bytes(private + public)
    return folder / "node.pem"

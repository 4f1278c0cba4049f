"""What the tests and the demo rely on in a broker, held against each broker we can start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.topics import create_topics
from app.kafka.embedded import BrokerNotReady, EmbeddedBroker, count_brokers, free_ports
from bench.kafka.apache import ApacheKafka
from tests import ROOT

JANUARY_1997 = 852076800000

pytestmark = pytest.mark.broker


@pytest.fixture(params=["kafka", "embedded"])
def bootstrap(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


async def create_topic(
    bootstrap: str, name: str, partitions: int = 2, replicas: int = 1, config: dict[str, str] | None = None
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await create_topics(admin, {name: (partitions, config or {"retention.ms": "-1"})}, replicas)
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=False)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait(
                topic,
                b"value-%d" % number,
                key=b"user",
                partition=0,
                timestamp_ms=JANUARY_1997 + number,
                headers=[("ce_type", b"turnstile"), ("empty", b"")],
            )
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        records: list = []
        deadline = time.monotonic() + 60
        while len(records) < count and time.monotonic() < deadline:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


async def test_records_come_back_as_they_went(bootstrap: str, topic_prefix: str) -> None:
    await create_topic(bootstrap, topic_prefix)
    await produce(bootstrap, topic_prefix, 3)
    records = await consume(bootstrap, topic_prefix, 3)
    assert [(record.offset, record.key, record.value) for record in records] == [
        (0, b"user", b"value-0"),
        (1, b"user", b"value-1"),
        (2, b"user", b"value-2"),
    ]
    assert [record.timestamp for record in records] == [JANUARY_1997, JANUARY_1997 + 1, JANUARY_1997 + 2]
    assert list(records[0].headers) == [("ce_type", b"turnstile"), ("empty", b"")]


async def test_topic_configuration_is_kept(bootstrap: str, topic_prefix: str) -> None:
    wanted = {"retention.ms": "-1", "cleanup.policy": "compact"}
    await create_topic(bootstrap, topic_prefix, config=wanted)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic_prefix)])
    finally:
        await admin.close()
    (resource,) = answers[0].resources
    assert wanted.items() <= {entry[0]: entry[1] for entry in resource[4]}.items()


async def test_a_group_goes_on_after_its_commit(bootstrap: str, topic_prefix: str) -> None:
    await create_topic(bootstrap, topic_prefix)
    await produce(bootstrap, topic_prefix, 4)

    async def member() -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            topic_prefix,
            bootstrap_servers=bootstrap,
            group_id=f"{topic_prefix}-group",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            rebalance_timeout_ms=4000,
            heartbeat_interval_ms=1000,
        )
        await consumer.start()
        return consumer

    first = await member()
    try:
        seen = [await first.getone() for _ in range(2)]
        await first.commit({TopicPartition(topic_prefix, 0): seen[-1].offset + 1})
    finally:
        await first.stop()
    second = await member()
    try:
        assert await second.committed(TopicPartition(topic_prefix, 0)) == 2
        assert (await second.getone()).value == b"value-2"
    finally:
        await second.stop()


async def test_data_outlives_the_death_of_the_node(kafka_node: ApacheKafka, topic_prefix: str) -> None:
    await create_topic(kafka_node.bootstrap, topic_prefix)
    await produce(kafka_node.bootstrap, topic_prefix, 2)
    before = kafka_node.bootstrap
    kafka_node.kill()
    assert count_brokers("127.0.0.1", int(before.rpartition(":")[2])) == 0
    kafka_node.restart()
    assert kafka_node.bootstrap == before
    assert [r.value for r in await consume(before, topic_prefix, 2)] == [b"value-0", b"value-1"]
    kafka_node.shut_down()
    kafka_node.restart()
    assert len(await consume(before, topic_prefix, 2)) == 2


@pytest.mark.slow
async def test_a_cluster_goes_on_without_one_node(kafka_cluster: ApacheKafka, topic_prefix: str) -> None:
    bootstrap = kafka_cluster.bootstrap
    await create_topic(bootstrap, topic_prefix, replicas=3)
    await produce(bootstrap, topic_prefix, 2)
    kafka_cluster.kill(1)
    try:
        await produce(bootstrap, topic_prefix, 2)
        assert len(await consume(bootstrap, topic_prefix, 4)) == 4
    finally:
        kafka_cluster.restart(1)


def test_the_embedded_broker_leaves_nothing_behind(embedded: str) -> None:
    with EmbeddedBroker() as broker:
        pid, log_file = broker.pid, broker.log_file
        assert pid is not None
        assert count_brokers("127.0.0.1", broker.port) == 1
    assert not _alive(pid)
    assert not log_file.exists()
    broker.stop()


async def test_the_embedded_broker_starts_inside_an_event_loop(embedded: str, tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "broker.log", free_ports(1)[0]) as broker:
        assert count_brokers("127.0.0.1", broker.port) == 1
    assert "listening on" in broker.log_file.read_text()


def test_a_taken_port_is_told(embedded: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BrokerNotReady, match=r"(?i)ended with code"):
            EmbeddedBroker().start(other.getsockname()[1])
    with pytest.raises(BrokerNotReady, match="another broker answers"):
        EmbeddedBroker().start(int(embedded.rpartition(":")[2]))


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that started an embedded broker, wrote the broker's pid, and waits."""
    code = (
        "import pathlib, sys, time\nfrom app.kafka.embedded import EmbeddedBroker\n"
        "with EmbeddedBroker(pathlib.Path(sys.argv[1])) as broker:\n"
        "    print(broker.pid, flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "broker.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="a child is tied to its parent on Linux only")
def test_the_embedded_broker_dies_with_a_killed_parent(embedded: str, parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # Its own group: the terminal's Ctrl-C goes to ours.
    assert os.getpgid(pid) == pid
    parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead child of a dead parent may wait for its new parent to collect it.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # collected meanwhile
        return False

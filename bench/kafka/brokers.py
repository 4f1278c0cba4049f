"""The broker of a benchmark: a given one, otherwise Apache Kafka with bench settings, or the embedded one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from app.kafka.embedded import EmbeddedBroker, count_brokers
from bench.kafka.apache import BENCH_JVM, ApacheKafka
from bench.kafka.jars import KafkaUnavailable, kafka_version
from bench.processes import BenchFailed


@dataclass(frozen=True, slots=True)
class BenchBroker:
    """``pid`` is None for a broker that isn't ours: its CPU time can't be told."""

    bootstrap: str
    name: str
    pid: int | None
    settings: dict[str, str]
    """Environment for workers: what this broker needs of their settings."""


@contextlib.contextmanager
def bench_broker(given: str | None) -> Iterator[BenchBroker]:
    """Raises BenchFailed when a given broker doesn't answer."""
    if given:
        host, _, port = given.split(",")[0].rpartition(":")
        if not port.isdigit() or count_brokers(host, int(port)) < 1:
            raise BenchFailed(f"no Kafka broker answers at {given}")
        yield BenchBroker(given, f"given: {given}", None, {})
        return
    with contextlib.ExitStack() as started:
        yield _start(started)


def _start(started: contextlib.ExitStack) -> BenchBroker:
    try:
        kafka = ApacheKafka(1, BENCH_JVM)
        started.callback(kafka.stop)
        kafka.start()
    except KafkaUnavailable as missing:
        # Its group coordinator waits for half of the session timeout.
        quick = {
            "TURNSTILE_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "TURNSTILE_KAFKA__REBALANCE_TIMEOUT_MS": "4000",
            "TURNSTILE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
        }
        embedded = started.enter_context(EmbeddedBroker())
        return BenchBroker(embedded.bootstrap, f"embedded (Tansu); {missing}", embedded.pid, quick)
    flags = " ".join((f"-Xmx{BENCH_JVM.heap_mb}m", *BENCH_JVM.flags))
    return BenchBroker(kafka.bootstrap, f"Apache Kafka {kafka_version()}, 1 node, {flags}", kafka.pid(), {})

"""The brokers of a test session: started when asked for, ended with it, told in its summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from app.kafka.embedded import BrokerNotInstalled, BrokerNotReady, EmbeddedBroker, count_brokers
from bench.kafka.apache import ApacheKafka
from bench.kafka.jars import KafkaUnavailable, kafka_version
from bench.kafka.secure import Secure

GIVEN = "TURNSTILE_TEST_KAFKA"

Made = TypeVar("Made")


class Unavailable(Exception):
    """No such broker here; the message is the reason for the skip."""


class Brokers:
    """The brokers of one session. Each kind is tried once: a failure is remembered, not repeated."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self._running: list[ApacheKafka | EmbeddedBroker] = []
        self._tried: dict[str, object] = {}

    def kafka(self) -> str:
        """Apache Kafka's address: the one given in the environment, else a node of our own."""
        given = os.environ.get(GIVEN)
        if given:
            return self._once(GIVEN, lambda: self._given(given))
        return self._once("kafka", lambda: self.start_kafka(1)).bootstrap

    def cluster(self) -> ApacheKafka:
        return self._once("cluster", lambda: self.start_kafka(3))

    def embedded(self) -> str:
        return self._once("embedded", self.start_embedded).bootstrap

    def any(self) -> str:
        """Apache Kafka where it can be had, else the embedded broker."""
        try:
            return self.kafka()
        except Unavailable as no_kafka:
            try:
                return self.embedded()
            except Unavailable as no_embedded:
                raise Unavailable(f"{no_kafka}; {no_embedded}") from None

    def start_kafka(self, nodes: int, secure: Secure | None = None) -> ApacheKafka:
        try:
            kafka = ApacheKafka(nodes, secure=secure)
            # Listed before it starts, so that an interrupt in the middle finds it.
            self._running.append(kafka)
            kafka.start()
        except KafkaUnavailable as error:
            raise Unavailable(f"no Apache Kafka: {error}") from error
        self.note(f"Apache Kafka {kafka_version()}, {nodes} node{'s' if nodes > 1 else ''}")
        return kafka

    def start_embedded(self) -> EmbeddedBroker:
        broker = EmbeddedBroker()
        self._running.append(broker)
        try:
            broker.start()
        except (BrokerNotInstalled, BrokerNotReady) as error:
            raise Unavailable(f"no embedded broker: {error}") from error
        self.note("embedded broker (Tansu)")
        return broker

    def stop_all(self) -> None:
        while self._running:
            self._running.pop().stop()

    def _given(self, bootstrap: str) -> str:
        host, _, port = bootstrap.split(",")[0].rpartition(":")
        if count_brokers(host, int(port)) < 1:
            raise Unavailable(f"{GIVEN} is {bootstrap}, which does not answer")
        self.note(f"Apache Kafka at {bootstrap} ({GIVEN})")
        return bootstrap

    def note(self, broker: str) -> None:
        """It was used; told once in the summary."""
        if broker not in self.used:
            self.used.append(broker)

    def _once(self, kind: str, make: Callable[[], Made]) -> Made:
        if kind not in self._tried:
            try:
                self._tried[kind] = make()
            except Unavailable as error:
                self._tried[kind] = error
        made = self._tried[kind]
        if isinstance(made, Unavailable):
            raise made
        return made  # type: ignore[return-value]

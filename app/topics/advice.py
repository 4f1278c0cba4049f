"""The topics as settings for the tools with which they are made ahead: generated from the one plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from agents.topics.plan import COPIES, Wanted


def kafka_topics(wanted: Sequence[Wanted], replication: int) -> Iterator[str]:
    """Commands for ``kafka-topics.sh``; BOOTSTRAP is to be set in the shell."""
    for each in wanted:
        yield f"# {each.role}"
        options = [
            'kafka-topics.sh --bootstrap-server "$BOOTSTRAP" --create',
            f"--topic {each.name} --partitions {each.partitions} --replication-factor {replication}",
            *(f"--config {name}={value}" for name, value in each.made_with(replication).items()),
        ]
        yield " \\\n  ".join(options)


def strimzi(wanted: Sequence[Wanted], replication: int) -> Iterator[str]:
    """``KafkaTopic`` resources in YAML; the label names the cluster."""
    for each in wanted:
        configs = each.made_with(replication)
        lines = [
            "---",
            f"# {each.role}",
            "apiVersion: kafka.strimzi.io/v1beta2",
            "kind: KafkaTopic",
            "metadata:",
            f"  name: {_dns_name(each.name)}",
            "  labels: {strimzi.io/cluster: my-cluster}",
            "spec:",
            f"  topicName: {json.dumps(each.name)}",
            f"  partitions: {each.partitions}",
            f"  replicas: {replication}",
            *(["  config:"] if configs else []),
            *(f"    {name}: {json.dumps(value)}" for name, value in configs.items()),
        ]
        yield "\n".join(lines)


def terraform(wanted: Sequence[Wanted], replication: int) -> Iterator[str]:
    """Resources of the provider ``Mongey/kafka``."""
    for each in wanted:
        configs = each.made_with(replication)
        lines = [
            f"# {each.role}",
            f'resource "kafka_topic" "{re.sub("[^A-Za-z0-9_-]", "_", each.name)}" {{',
            f"  name               = {json.dumps(each.name)}",
            f"  partitions         = {each.partitions}",
            f"  replication_factor = {replication}",
            *(["  config = {"] if configs else []),
            *(f"    {json.dumps(name)} = {json.dumps(value)}" for name, value in configs.items()),
            *(["  }"] if configs else []),
            "}",
        ]
        yield "\n".join(lines)


FORMATS: dict[str, Callable[[Sequence[Wanted], int], Iterator[str]]] = {
    "kafka-topics": kafka_topics,
    "strimzi": strimzi,
    "terraform": terraform,
}


def advice(kind: str, wanted: Sequence[Wanted], replication: int | None) -> str:
    """The text of a format; with three copies where the settings name no number."""
    return "\n".join(FORMATS[kind](wanted, replication or COPIES))


def _dns_name(topic: str) -> str:
    """A name that Kubernetes takes: lower case, digits, ``-`` and ``.``."""
    return re.sub("[^a-z0-9.-]", "-", topic.lower()).strip("-.")

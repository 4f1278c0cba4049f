"""What the cluster has: brokers, and topics with partitions, copies, settings and ids."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest

from agents.kafka.requests import NO_ID, TopicsRequest

_UNKNOWN = UnknownTopicOrPartitionError.errno


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the cluster has it."""

    name: str
    topic_id: bytes
    """16 bytes; empty where the broker gives none (Apache Kafka before 2.8)."""
    partitions: int
    replicas: int
    """Of the partition that has the fewest."""
    configs: Mapping[str, str] | None = None
    """Settings that are known, at some brokers only those given; None: it doesn't let us see them."""
    is_led: bool = True
    """Whether each partition has a leader that the broker knows."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The topics that were looked at, and how many brokers there are."""

    brokers: int
    topics: Mapping[str, Topic]

    @property
    def ids(self) -> dict[str, bytes]:
        return {name: each.topic_id for name, each in self.topics.items()}


def shown_id(topic_id: bytes) -> str:
    """As Kafka's own tools print it."""
    return urlsafe_b64encode(topic_id).decode().rstrip("=") or "none"


async def look(
    admin: AIOKafkaAdminClient,
    names: Collection[str] | None = None,
    configs_of: Collection[str] = (),
    broker: int | None = None,
) -> Cluster:
    """All topics, or those of ``names`` that exist; with the settings of ``configs_of``.

    ``broker``: which one to ask, otherwise any. Asking makes no topic. Raises KafkaError when no broker
    answers, or one says no.
    """
    answer = await _metadata(admin, names, broker)
    found: dict[str, Topic] = {}
    for each in answer["topics"]:
        if each["error_code"] == _UNKNOWN or not each["partitions"]:
            continue
        if each["error_code"]:
            raise for_code(each["error_code"])(each["topic"])
        topic_id = each.get("topic_id", NO_ID)
        found[each["topic"]] = Topic(
            each["topic"],
            b"" if topic_id == NO_ID else topic_id,
            len(each["partitions"]),
            min(len(partition["replicas"]) for partition in each["partitions"]),
            is_led=not any(partition["error_code"] for partition in each["partitions"]),
        )
    configs = await _configs(admin, [name for name in configs_of if name in found], broker)
    return Cluster(
        len(answer["brokers"]),
        {name: replace(each, configs=configs.get(name)) for name, each in found.items()},
    )


async def existing(admin: AIOKafkaAdminClient) -> Mapping[str, int]:
    """Topic name to number of partitions."""
    return {name: each.partitions for name, each in (await look(admin)).topics.items()}


async def _metadata(
    admin: AIOKafkaAdminClient, names: Collection[str] | None, broker: int | None
) -> dict[str, Any]:
    try:
        response = await admin._send_request(TopicsRequest(names), broker)
    except NotImplementedError:  # older than topic ids
        response = await admin._send_request(MetadataRequest(None), broker)
    answer: dict[str, Any] = response.to_object()
    if names is not None:
        answer["topics"] = [each for each in answer["topics"] if each["topic"] in names]
    return answer


async def _configs(
    admin: AIOKafkaAdminClient, names: Collection[str], broker: int | None
) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [(ConfigResourceType.TOPIC, name, None) for name in names]
    response = await admin._send_request(DescribeConfigsRequest(resources, False), broker)
    found: dict[str, dict[str, str]] = {}
    for each in response.to_object()["resources"]:
        error: type[KafkaError] = for_code(each["error_code"])
        if each["error_code"] == 0:
            found[each["resource_name"]] = {
                entry["config_names"]: entry["config_value"] or "" for entry in each["config_entries"]
            }
        elif error not in (TopicAuthorizationFailedError, UnknownTopicOrPartitionError):
            raise error(f"settings of {each['resource_name']}: {each['error_message']}")
    return found

"""What the cluster has: brokers, and topics with partitions, copies, settings and ids."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code

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
    """Settings in force; None: the broker doesn't let us see them. Some brokers tell only those given."""


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
    admin: AIOKafkaAdminClient, names: Collection[str] | None = None, configs_of: Collection[str] = ()
) -> Cluster:
    """All topics, or those of ``names`` that exist; with the settings of ``configs_of``.

    Asking makes no topic. Raises KafkaError when no broker answers, or one says no.
    """
    answer = await _metadata(admin, names)
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
        )
    configs = await _configs(admin, [name for name in configs_of if name in found])
    return Cluster(
        len(answer["brokers"]),
        {
            name: Topic(name, each.topic_id, each.partitions, each.replicas, configs.get(name))
            for name, each in found.items()
        },
    )


async def existing(admin: AIOKafkaAdminClient) -> Mapping[str, int]:
    """Topic name to number of partitions."""
    return {name: each.partitions for name, each in (await look(admin)).topics.items()}


async def known_everywhere(admin: AIOKafkaAdminClient, names: Collection[str]) -> bool:
    """Whether each broker that answers shows all of these topics."""
    for broker in admin._client.cluster.brokers():
        try:
            answer = await _metadata(admin, names, broker.nodeId)
        except KafkaError:  # a broker that is down shows them when it comes back
            continue
        shown = {each["topic"] for each in answer["topics"] if each["partitions"] and not each["error_code"]}
        if not shown.issuperset(names):
            return False
    return True


async def _metadata(
    admin: AIOKafkaAdminClient, names: Collection[str] | None, broker: int | None = None
) -> dict[str, Any]:
    """``broker``: which one to ask, otherwise any."""
    try:
        response = await admin._send_request(TopicsRequest(names), broker)
    except NotImplementedError:  # older than topic ids
        response = await admin._get_cluster_metadata(None)
    answer: dict[str, Any] = response.to_object()
    if names is not None:
        answer["topics"] = [each for each in answer["topics"] if each["topic"] in names]
    return answer


async def _configs(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for each in response.to_object()["resources"]:
            error: type[KafkaError] = for_code(each["error_code"])
            if each["error_code"] == 0:
                found[each["resource_name"]] = {
                    entry["config_names"]: entry["config_value"] or "" for entry in each["config_entries"]
                }
            elif error not in (TopicAuthorizationFailedError, UnknownTopicOrPartitionError):
                raise error(f"settings of {each['resource_name']}: {each['error_message']}")
    return found

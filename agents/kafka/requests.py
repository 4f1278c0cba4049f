"""Two requests that aiokafka lacks, in its own terms: topics with their ids, and changing single settings.

Formats: Kafka's protocol guide, ``Metadata`` version 10 (with the ids of topics, KIP-516, Apache Kafka 2.8)
and ``IncrementalAlterConfigs`` version 0 (KIP-339, Apache Kafka 2.3). They go over aiokafka's connections:
security and addresses are those of every other client. aiokafka's requests for metadata may create the topics
that they name, where the broker allows that; ``never_create_by_asking`` ends it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from io import BytesIO
from typing import Any

import aiokafka.client
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

SET = 0
"""The operation of ``IncrementalAlterConfigs`` that gives one setting a value."""
NO_ID = bytes(16)
"""What a broker gives as the id of a topic that was made before topics had ids."""


class Uuid(AbstractType[bytes]):  # type: ignore[misc]
    """Sixteen bytes as they are."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class TopicsResponse_v10(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class TopicsRequest_v10(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = TopicsResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicsRequest(Request[TopicsRequest_v10]):  # type: ignore[misc]
    """Topics of these names, or all, with ids. Raises NotImplementedError at brokers without ids."""

    API_KEY = 3

    def __init__(self, names: Collection[str] | None = None) -> None:
        self._names = names

    def build(self, request_struct_class: type[TopicsRequest_v10]) -> TopicsRequest_v10:
        topics: Any = None if self._names is None else [(NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})


class SetConfigsResponse_v0(Response):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class SetConfigsRequest_v0(RequestStruct):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = SetConfigsResponse_v0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class SetConfigsRequest(Request[SetConfigsRequest_v0]):  # type: ignore[misc]
    """Give settings of topics values and leave all others as they are (aiokafka's own resets the others)."""

    API_KEY = 44

    def __init__(self, resources: list[tuple[int, str, list[tuple[str, int, str]]]]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[SetConfigsRequest_v0]) -> SetConfigsRequest_v0:
        return request_struct_class(self._resources, False)


def never_create_by_asking() -> None:
    """From now on no client of this process makes a topic by asking for it (``auto.create.topics.enable``).

    A mistyped name would become a topic; so would one that was deleted under a running worker, empty and with
    the broker's defaults.
    """
    client: Any = aiokafka.client
    client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)

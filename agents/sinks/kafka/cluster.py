"""Which cluster it is: a definition may name our own one by ``bootstrap``, by whatever address."""

from __future__ import annotations

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from agents.deliver.errors import SinkUnavailable
from agents.kafka.broker import Broker
from agents.kafka.clients import new_client


async def cluster_id(client: AIOKafkaClient) -> str | None:
    """The id of the cluster of a client that is connected. None: it tells none. Raises KafkaError."""
    answer: Any = await client.send(client.get_random_node(), MetadataRequest([]))
    return getattr(answer, "cluster_id", None)


async def own_cluster_id(broker: Broker) -> str | None:
    """That of the service's own cluster. Raises SinkUnavailable."""
    client = new_client(broker)
    try:
        await client.bootstrap()
        return await cluster_id(client)
    except (KafkaError, OSError) as error:
        raise SinkUnavailable(f"our own cluster doesn't say which one it is: {error!r}") from None
    finally:
        await client.close()

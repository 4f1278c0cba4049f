"""How many partitions the source topics have: what a repartitioned record may say of its origin."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, cast

from agents.kafka.placement import ORIGIN_PARTITION, ORIGIN_TOPIC, Located
from agents.kafka.producer import Producer


async def learn_partitions(
    sources: MutableMapping[str, int], records: Iterable[Located], producer: Producer
) -> None:
    """Ask the brokers again where repartitioned ``records`` come from partitions that are not known yet.

    Another worker may have seen before this one that a topic got more partitions.
    """
    unknown: set[str] = set()
    for record in records:
        headers = dict(record.headers)
        topic, partition = headers.get(ORIGIN_TOPIC), headers.get(ORIGIN_PARTITION)
        if topic is None or partition is None or not partition.isdigit():
            continue
        name = topic.decode("utf-8", "replace")
        if name in sources and len(partition) < 10 and int(partition) >= sources[name]:
            unknown.add(name)
    if not unknown:
        return
    client = cast(Any, producer.client)
    for name in unknown:
        await client.add_topic(name)
    await client.force_metadata_update()
    for name in unknown:
        sources[name] = max(sources[name], len(client.cluster.partitions_for_topic(name) or ()))

"""Topics that were made can be used at once, and settings that were changed are shown."""

from __future__ import annotations

from agents.kafka.broker import Broker
from agents.kafka.clients import new_admin
from agents.topics.look import look
from agents.topics.make import create_topics, set_configs
from bench.kafka.apache import ApacheKafka


async def test_each_broker_shows_a_topic_that_was_just_made(
    kafka_cluster: ApacheKafka, topic_prefix: str
) -> None:
    admin = new_admin(Broker(kafka_cluster.bootstrap))
    await admin.start()
    try:
        unseen = []
        for number in range(30):
            name = f"{topic_prefix}.{number}"
            await create_topics(admin, {name: (3, {})}, 2)
            unseen += [name for _ in range(3) if name not in (await look(admin, [name], [name])).topics]
        assert unseen == []
    finally:
        await admin.close()


async def test_each_broker_shows_a_setting_that_was_just_changed(
    kafka_cluster: ApacheKafka, topic_prefix: str
) -> None:
    admin = new_admin(Broker(kafka_cluster.bootstrap))
    await admin.start()
    try:
        await create_topics(admin, {topic_prefix: (3, {})}, 2)
        unseen = []
        for number in range(1, 31):
            await set_configs(admin, topic_prefix, {"retention.ms": f"{number}000000"})
            for _ in range(3):
                (topic,) = (await look(admin, [topic_prefix], [topic_prefix])).topics.values()
                assert topic.configs is not None
                if topic.configs["retention.ms"] != f"{number}000000":
                    unseen.append(number)
        assert unseen == []
    finally:
        await admin.close()

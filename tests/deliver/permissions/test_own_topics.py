"""Topics that the service reads or keeps: no destination writes to them, by whatever name of the cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import ClientSession

from agents.deliver.permissions.own_topics import OwnTopics
from agents.kafka.broker import Broker
from agents.topics.delivery import dead_letter_topic
from agents.topics.plan import TopicPlan, wanted_topics
from app.failures import CommandFailed
from app.publish.permitted import check_permitted
from app.settings.tree import load_settings
from tests.sinks.kafka.test_kafka_sink import keys_in, tells, topic
from tests.stage.delivery import scene, transition
from tests.stage.delivery_engine import DeliveryLab, destination, lab, messages
from tests.stage.workers import until

PLAN = TopicPlan("t", "app", ["events", "clicks"])


def test_every_topic_of_ours_is_refused_and_a_source_unless_the_settings_allow_it() -> None:
    own = OwnTopics(PLAN, ["events", "t.keys"])
    ours = {
        *(each.name for each in wanted_topics(PLAN, 1)),
        *(PLAN.destinations, dead_letter_topic("t", "crm"), "__consumer_offsets", "__transaction_state"),
        "app-__assignor-__leader",
    }
    assert {each for each in ours if own.why_not(each) is None} == {"events"}
    assert "deliver.writable_sources" in str(own.why_not("clicks"))
    for other in ("segments.cart", "t.segments", "t.keys2", "t2.keys", "app-segments"):
        assert own.why_not(other) is None


async def test_a_template_that_gives_a_topic_of_ours_makes_a_dead_letter(
    kafka: str, topic_prefix: str
) -> None:
    plan = TopicPlan(topic_prefix, topic_prefix, ["events"])
    text = f"{{name: own, kind: kafka, kafka: {{topic: '{topic_prefix}.${{audience}}'}}}}"
    async with (
        topic(kafka, f"{topic_prefix}.keys"),
        topic(kafka, f"{topic_prefix}.cart"),
        lab(text, broker=Broker(kafka), own=OwnTopics(plan)) as made,
    ):
        keys = transition("u", 1, audience="keys")
        await made.deliver(messages([keys, transition("u", 1, audience="cart")]), 20)
        assert [code for _, code, _ in made.buried] == ["own_topic"]
        assert await keys_in(kafka, f"{topic_prefix}.keys") == []
        assert await keys_in(kafka, f"{topic_prefix}.cart") == ["u"]


@pytest.mark.parametrize("by", ["our own", "bootstrap"])
async def test_our_cluster_is_ours_by_whatever_address(kafka: str, topic_prefix: str, by: str) -> None:
    plan = TopicPlan(topic_prefix, topic_prefix, ["events"])
    other_name = f", bootstrap: '{kafka.replace('127.0.0.1', 'localhost')}'" if by == "bootstrap" else ""
    text = f"{{name: own, kind: kafka, kafka: {{topic: {topic_prefix}.keys{other_name}}}}}"
    await tells(
        DeliveryLab(text, broker=Broker(kafka), own=OwnTopics(plan)),
        "misconfigured",
        "one of Turnstile's own (API keys)",
    )


async def test_topics_of_another_cluster_may_have_any_name(
    kafka: str, embedded: str, topic_prefix: str
) -> None:
    """``embedded`` is ours here, beside Apache Kafka."""
    plan = TopicPlan(topic_prefix, topic_prefix, [f"{topic_prefix}.events"])
    text = f"{{name: own, kind: kafka, kafka: {{topic: {topic_prefix}.events, bootstrap: '{kafka}'}}}}"
    async with topic(kafka, f"{topic_prefix}.events"):
        async with lab(text, broker=Broker(embedded), own=OwnTopics(plan)) as made:
            await made.deliver(messages([transition("u", 1)]), 20)
        assert await keys_in(kafka, f"{topic_prefix}.events") == ["u"]


def test_apply_refuses_at_once_what_the_settings_refuse() -> None:
    hook = "{name: x, kind: webhook, webhook: {url: 'https://a.example/', headers: {A: {secret: TOKEN}}}}"
    known = {"name": "OTHER", "source": {"env": "OTHER"}, "hosts": ["b.example"]}

    def refused(text: str, **variables: str) -> str:
        names = {f"TURNSTILE_{name.upper()}": value for name, value in variables.items()}
        with pytest.raises(CommandFailed) as caught:
            check_permitted(load_settings(None, names), [destination(text)])
        return str(caught.value)

    entry = r"deliver.secrets: [{name: TOKEN, source: {env: VARIABLE}, hosts: [a.example]}]"
    assert entry in refused(hook, deliver__secrets=json.dumps([known]))
    assert "b.example" in refused(hook.replace("TOKEN", "OTHER"), deliver__secrets=json.dumps([known]))
    theirs = {**known, "name": "TOKEN", "hosts": ["a.example"], "projects": ["shop"]}
    assert "no secret 'TOKEN'" in refused(hook, deliver__secrets=json.dumps([theirs]))
    assert "(API keys)" in refused("{name: x, kind: kafka, kafka: {topic: turnstile.keys}}")
    told = check_permitted(load_settings(None, {}), [destination(hook)])
    assert told is not None
    assert "deliver.secrets" in told


async def test_a_delivery_worker_takes_no_destination_that_it_would_not_run(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Nor an API key of the topic as a secret."""
    bodies = {
        "topic": f"{{name: topic, kind: kafka, kafka: {{topic: {topic_prefix}.keys}}}}",
        "secret": "{name: secret, kind: webhook, webhook: {url: 'http://a.example/', "
        "headers: {A: {secret: NONE}}}}",
        "host": "{name: host, kind: webhook, webhook: {url: 'http://a.example/', headers: {A: {secret: S}}}}",
    }
    async with scene(broker, topic_prefix, tmp_path, 1) as stage, ClientSession() as session:
        deliverer = stage.deliverer(
            deliver__secrets=json.dumps([{"name": "S", "source": {"env": "S"}, "hosts": ["b.example"]}])
        )
        deliverer.start()
        await until(deliverer.is_ready, "it is ready", 40, [deliverer])
        for name, body in bodies.items():
            url = f"{deliverer.url}/v1/destinations/{name}"
            async with session.put(url, data=body) as answer:
                assert answer.status == 422, name
                (error,) = (await answer.json())["errors"]
                assert error["code"] == "not_permitted"
        deliverer.end()

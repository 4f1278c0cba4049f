"""What ``turnstile topology`` draws is what runs: the agents, topics, table and groups of the Faust apps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from agents.deliver.consumer.faust_app import deliver_app
from agents.topics.plan import Role, wanted_topics
from app.kafka.configured import broker_of, plan_of
from app.settings.tree import Settings, load_settings
from app.topics.topology import _HOLDS, Part, Topology, build_topology
from app.worker.topic_watch import TopicWatch
from app.worker.worker import Worker


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data_dir = str(tmp_path / "data")
    return load_settings(
        environ={"TURNSTILE_TOPICS__EVENTS": "web,app", "TURNSTILE_WORKER__DATA_DIR": data_dir}
    )


@pytest.fixture
def topology(settings: Settings) -> Topology:
    return build_topology(settings)


def part(topology: Topology, kind: str, name: str) -> Part:
    return next(each for each in topology.parts if (each.kind, each.name) == (kind, name))


def topics_into(topology: Topology, agent: Part) -> set[str]:
    return {flow.source.name for flow in topology.into(agent) if flow.source.kind == "topic"}


async def test_the_worker_is_drawn_as_its_faust_app_is_made(settings: Settings, topology: Topology) -> None:
    worker = Worker(settings)
    worker.topics = TopicWatch(settings, worker.warnings)
    counts = dict.fromkeys(plan_of(settings).names, 1)
    worker.topics.partitions, worker.topics.ids = counts, dict.fromkeys(counts, b"id")
    worker.partitions = 1
    worker._wire(cast(Any, None), worker.topics.as_found())
    app = worker.app
    (agent,) = app.agents.values()
    drawn = part(topology, "agent", agent.name.rpartition(".")[2])
    assert topics_into(topology, drawn) == set(agent.channel.topics)
    assert drawn.about.endswith(f"consumer group {app.conf.id}")
    (table,) = app.tables.data
    written = topology.out_of(part(topology, "table", table))
    assert f"{app.conf.id}-{table}-changelog" in {flow.target.name for flow in written}


def test_delivery_is_drawn_as_its_faust_app_is_made(settings: Settings, topology: Topology) -> None:
    unused: Any = None
    app = deliver_app(
        group="g",
        broker=broker_of(settings),
        instance_id=None,
        data_dir=str(settings.worker.data_dir),
        topic=plan_of(settings).transitions,
        task=unused,
        first_start=unused,
    )
    (agent,) = app.agents.values()
    drawn = part(topology, "agent", agent.name.rpartition(".")[2])
    assert set(agent.channel.topics) <= topics_into(topology, drawn)


def test_every_topic_of_the_plan_is_drawn_and_is_read_or_written_by_us(
    settings: Settings, topology: Topology
) -> None:
    plan = plan_of(settings)
    own = [plan.destinations_topic(), plan.connections_topic(), plan.notices_topic(), *plan.push_topics()]
    for wanted in [*wanted_topics(plan, 1), *own]:
        topic = part(topology, "topic", wanted.name)
        ours = {each.source.kind for each in topology.into(topic)} | {
            each.target.kind for each in topology.out_of(topic)
        }
        assert ours & {"agent", "table"}, wanted.name


def test_what_a_topic_holds_is_said_of_every_role() -> None:
    assert set(_HOLDS) == set(Role) - {Role.INTERNAL}

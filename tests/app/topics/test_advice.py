"""Topics made ahead have exactly the settings of those that are made by the program."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from agents.topics.plan import TopicPlan, wanted_topics
from app.cli import cli
from app.topics.advice import advice

PLAN = TopicPlan("shop_A", "shop", ["web", "app"])
WANTED = [*wanted_topics(PLAN, 12), PLAN.destinations_topic(), PLAN.undelivered_topic("crm", 12)]
EXPECTED = {each.name: (each.partitions, each.made_with(3)) for each in WANTED}


def test_kafka_topics() -> None:
    text = advice("kafka-topics", WANTED, None).replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.search(r"--topic (\S+)", line)
            partitions = re.search(r"--partitions (\d+) --replication-factor 3", line)
            assert name is not None
            assert partitions is not None
            found[name[1]] = (int(partitions[1]), dict(re.findall(r"--config ([^=\s]+)=(\S+)", line)))
    assert found == EXPECTED


def test_strimzi() -> None:
    documents = list(YAML(typ="safe").load_all(advice("strimzi", WANTED, 3)))
    specs = [each["spec"] for each in documents if each is not None]
    assert {each["topicName"]: (each["partitions"], each.get("config", {})) for each in specs} == EXPECTED
    assert all(each["replicas"] == 3 for each in specs)
    names = [each["metadata"]["name"] for each in documents if each is not None]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", each) for each in names)


def test_terraform() -> None:
    text = advice("terraform", WANTED, 3)
    found = {}
    for block in re.findall(r'resource "kafka_topic" "[\w-]+" \{\n(.*?)\n\}', text, re.DOTALL):
        name = re.search(r'name += "(.*)"', block)
        partitions = re.search(r"partitions += (\d+)", block)
        assert name is not None
        assert partitions is not None
        assert re.search(r"replication_factor = 3\b", block)
        found[name[1]] = (int(partitions[1]), dict(re.findall(r'"(.*)" = "(.*)"', block)))
    assert found == EXPECTED


def test_the_command_prints_them_for_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", "shop")
    monkeypatch.setenv("TURNSTILE_TOPICS__PARTITIONS", "5")
    out = CliRunner().invoke(cli, ["topics", "print", "--destination", "crm"]).stdout
    assert "--topic shop.deliver.crm.dlq --partitions 5" in out
    assert "--topic turnstile-profiles-changelog --partitions 5" in out

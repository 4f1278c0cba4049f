"""A destination for audiences that aren't there: refused with the nearest name; a deleted one is told."""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp import ClientSession

from agents.deliver.permissions.audiences import audience_refusals, lacking_audiences
from agents.registry.audiences import publish_audiences
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import load_definitions
from tests.deliver.consumer.test_kafka_deliverer import command, started
from tests.stage.delivery import scene
from tests.stage.delivery_engine import destination
from tests.stage.receiver import receiver
from tests.stage.workers import until

AUDIENCES = """
audiences:
  - {id: buyers, name: Buyers, rule: {event: buy}}
  - {id: gold, name: Gold, rule: {attribute: plan, eq: gold}}
  - {id: theirs, name: Theirs, project: other, rule: {event: buy}}
"""
HOOK = "{name: crm, kind: webhook, webhook: {url: 'https://a.example/x'}%s}"


def published(*deleted: str) -> list[PublishedAudience]:
    audiences = load_definitions([("test.yaml", AUDIENCES)])
    return [PublishedAudience(each, 1 + (each.id in deleted), each.id in deleted) for each in audiences]


def test_an_audience_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    made = destination(HOOK % ", audiences: [buyer, gold, theirs]")
    assert audience_refusals(made, published()) == [
        "project 'default' has no audience 'buyer'; did you mean 'buyers'? allowed: buyers, gold",
        "project 'default' has no audience 'theirs'; allowed: buyers, gold",
    ]
    assert audience_refusals(made, []) == [
        f"project 'default' has no audience {each!r}: none is published"
        for each in ("buyer", "gold", "theirs")
    ]


def test_one_that_was_deleted_is_told_as_such_and_all_of_a_project_are_never_refused() -> None:
    made = destination(HOOK % ", audiences: [buyers, gold]")
    assert audience_refusals(made, published("gold")) == ["audience 'gold' of project 'default' was deleted"]
    assert lacking_audiences(made, published("gold")) == ["gold"]
    assert lacking_audiences(made, published()) == []
    assert lacking_audiences(destination(HOOK % ""), []) == []


async def test_it_is_refused_when_published_and_the_status_tells_when_its_audience_goes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage, receiver() as hook:
        topic = f"{topic_prefix}.audiences"
        await stage.make(topic, 1, **{"cleanup.policy": "compact"})
        await publish_audiences(stage.producer, topic, published())
        deliverer = stage.deliverer()
        deliverer.start()
        text = f"{{name: crm, kind: webhook, audiences: [NAME], webhook: {{url: '{hook.url}'}}}}"
        (tmp_path / "bad.yaml").write_text(text.replace("NAME", "byers"))
        (tmp_path / "good.yaml").write_text(text.replace("NAME", "buyers"))
        refused = await command(stage, "destinations", "apply", str(tmp_path / "bad.yaml"))
        hint = "project 'default' has no audience 'byers'; did you mean 'buyers'? allowed: buyers, gold"
        assert refused.returncode != 0
        assert hint in " ".join(refused.stderr.split())
        await until(deliverer.is_ready, "it is ready", 60, [deliverer])
        async with ClientSession() as session:
            url, content = f"{deliverer.url}/v1/destinations/crm", text.replace("NAME", "byers")
            headers = {"content-type": "application/yaml"}
            async with session.put(url, data=content, headers=headers) as answer:
                assert (answer.status, (await answer.json())["detail"]) == (422, hint)
        applied = await command(stage, "destinations", "apply", str(tmp_path / "good.yaml"))
        assert applied.returncode == 0, applied.stderr
        await started(stage, deliverer, "crm")
        assert (await deliverer.status("crm"))["lacking_audiences"] == []
        await publish_audiences(stage.producer, topic, published("buyers"))

        async def is_told() -> bool:
            return (await deliverer.status("crm"))["lacking_audiences"] == ["buyers"]

        await until(is_told, "the status says so", 30, [deliverer])
        shown = await command(stage, "deliver", "status")
        assert "crm: audiences that aren't published: buyers" in shown.stdout
        _, ready = await deliverer.get("/readyz?verbose")
        assert "destination_lacks_audience" in json.dumps(ready)
        deliverer.end()

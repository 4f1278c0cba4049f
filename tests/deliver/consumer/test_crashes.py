"""A bug in one destination's sink: the others go on, it says so, comes back by itself, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import app.deliver.destination as one
from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Outcome
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import Destination
from agents.sinks.webhook.sink import WebhookSink
from app.deliver.service import DeliveryService
from app.settings.tree import load_settings
from tests.deliver.consumer.test_kafka_deliverer import assert_order, webhook
from tests.stage.delivery import declared, many, scene, transition
from tests.stage.receiver import receiver
from tests.stage.workers import environment, until

BUG = "'NoneType' object has no attribute 'status', says k3y-in-an-error"


class Buggy(WebhookSink):
    """The real one; twice it raises after it has sent, then at each opening no more."""

    crashes = 2

    def __init__(self, destination: Destination, context: SinkContext) -> None:
        super().__init__(destination, context)
        self._named = destination.name

    async def send(self, lane: int, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = await super().send(lane, batch)
        if self._named == "buggy" and Buggy.crashes and batch[0].transitions[0].seq == 2:
            Buggy.crashes -= 1
            raise AttributeError(BUG)
        return outcomes


async def test_a_bug_in_one_sink_stops_no_other_and_it_comes_back_with_nothing_lost(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "make_sink", Buggy)
    monkeypatch.setenv("CRM_KEY", "k3y-in-an-error")
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook, receiver() as other:
        target = "headers: {X-Key: {secret: CRM_KEY}}, concurrency: 4"
        await stage.define(
            "destinations:\n" + webhook("buggy", hook.url, target=target) + webhook("other", other.url)
        )
        service = DeliveryService(
            load_settings(
                environ=environment(stage.settings(deliver__port=0, deliver__secrets=declared("CRM_KEY")))
            )
        )
        task = asyncio.create_task(service.run())

        def states() -> dict[str, str]:
            return {name: each.state for name, each in service.running.items()}

        try:
            await until(lambda: states() == {"buggy": "running", "other": "running"}, "both run", 30)
            ids = {each["id"] for each in await stage.send(many(400, users=100))}
            await until(lambda: states()["buggy"] == "crashed", "it is down", 20)
            error = str(service.running["buggy"].report.last_error)
            assert "has no attribute" in error
            assert "k3y" not in error
            await until(lambda: set(other.ids) == ids, "the other has all", 20)
            assert states()["other"] == "running"
            await until(lambda: set(hook.ids) == ids, "it has all, too", 30)
            await until(lambda: states()["buggy"] == "running", "it runs again", 20)
            assert_order(hook.taken)
            assert other.repeats() == 0
            assert service.crashed is None
            # An end in the midst of the clearing up after a crash: no consumer stays in the group.
            Buggy.crashes = 1
            await stage.send(transition("late", seq) for seq in (1, 2))
            await until(lambda: states()["buggy"] == "crashed", "it is down again", 20)
        finally:
            service.stop()
            await task
        left = [str(each.get_coro()) for each in asyncio.all_tasks()]
        assert [each for each in left if "_heartbeat_routine" in each] == []

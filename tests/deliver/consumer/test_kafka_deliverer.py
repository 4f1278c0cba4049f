"""``turnstile deliver`` as processes on real Kafka: faulty receivers, dead letters, kills, sharing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from agents.deliver.engine.admission import LEAST_IN_FLIGHT
from tests.stage.commands import Done, run_beside
from tests.stage.delivery import DelivererProcess, DeliveryScene, many, scene, transition
from tests.stage.receiver import close_mid_body, first, ok, receiver, slow, status
from tests.stage.workers import environment, until

QUICK = "retry: {first: 50ms, most: 300ms}"


def webhook(name: str, url: str, more: str = "", target: str = "") -> str:
    return f"- {{name: {name}, kind: webhook, {QUICK}, {more} webhook: {{url: '{url}', {target}}}}}\n"


async def started(stage: DeliveryScene, deliverer: DelivererProcess, *names: str) -> None:
    async def running() -> bool:
        found = [await deliverer.status(name) for name in names]
        return all(len(each["partitions"]) == stage.partitions for each in found)

    await until(running, f"{names} have their partitions", 60, [deliverer])


async def caught_up(stage: DeliveryScene, deliverer: DelivererProcess, name: str) -> None:
    """Wait until all that is in the topic now is committed, and the status says so."""

    async def no_lag() -> bool:
        if not await stage.is_committed(name):
            return False
        return bool((await deliverer.status(name))["lag"] == 0)

    await until(no_lag, f"{name} has no lag", 30, [deliverer])


def assert_order(bodies: Iterable[dict[str, Any]]) -> int:
    """Each user's transitions came first in the order of ``seq``; the number of repeats."""
    seen: dict[str, str] = {}
    last: dict[str, int] = {}
    repeats = 0
    for each in bodies:
        text = json.dumps(each, sort_keys=True)
        if each["id"] in seen:
            assert seen[each["id"]] == text
            repeats += 1
            continue
        seen[each["id"]] = text
        assert last.get(each["user_id"], 0) == each["seq"] - 1, each
        last[each["user_id"]] = each["seq"]
    return repeats


async def test_faulty_receivers_delay_nobody_but_themselves_and_nothing_is_lost(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    may_answer = asyncio.Event()

    async def held(request: Any, body: bytes) -> Any:
        await may_answer.wait()
        return await slow(0.02)(request, body)

    faults = {
        "flaky": first(40, status(500)),
        "throttled": first(5, status(429, Retry_After="1")),
        "breaking": first(20, close_mid_body),
        "refusing": status(400),
        "moving": status(308, Location="http://elsewhere.example/"),
        "slow": held,
        "good": ok,
        "down": ok,
    }
    async with scene(kafka, topic_prefix, tmp_path) as stage:
        hooks = {}
        managers = [receiver() for _ in faults]
        for name, manager in zip(faults, managers, strict=True):
            hooks[name] = await manager.__aenter__()
            hooks[name].answer = faults[name]
        await hooks["down"].stop()
        try:
            await stage.define(
                "destinations:\n"
                + "".join(webhook(name, hook.url, target="timeout: 60s") for name, hook in hooks.items())
            )
            deliverer = stage.deliverer()
            deliverer.start()
            await started(stage, deliverer, *faults)
            bodies = await stage.send(many(400, users=100))
            ids = {each["id"] for each in bodies}
            await until(lambda: len(hooks["good"].taken) == 400, "good has all", 30, [deliverer])
            assert not hooks["slow"].taken  # before the slow one answered its first request, or one was up
            assert not hooks["down"].taken
            may_answer.set()

            async def retries() -> bool:
                return bool((await deliverer.status("down"))["state"] == "retrying")

            await until(retries, "what is down is tried again", 30, [deliverer])
            await hooks["down"].start()
            for name in ("flaky", "throttled", "breaking", "slow", "down", "good"):
                hook = hooks[name]
                await until(
                    lambda hook=hook: set(hook.ids) == ids,  # type: ignore[misc]
                    f"{name} has all",
                    30,
                    [deliverer],
                )
                assert_order(hook.taken)
                await caught_up(stage, deliverer, name)
            for name, code in (("refusing", b"http_400"), ("moving", b"http_308")):
                await caught_up(stage, deliverer, name)
                letters = await stage.read(f"{topic_prefix}.deliver.{name}.dlq")
                assert {json.loads(each.value)["id"] for each in letters} == ids
                headers = dict(letters[0].headers)
                assert headers["error.code"] == code
                assert headers["error.stage"] == b"deliver"
                assert headers["source.topic"] == stage.transitions.encode()
                assert headers["ce_id"].decode() == json.loads(letters[0].value)["id"]
                assert (await deliverer.status(name))["dead_letters"] == 400
            _, metrics = await deliverer.get("/metrics")
            assert 'turnstile_delivery_dead_letters_total{destination="refusing"} 400.0' in metrics
            assert 'turnstile_delivery_lag_records{destination="good"} 0.0' in metrics
            await replayed(stage, hooks["refusing"], ids)
            deliverer.end()
        finally:
            for manager in managers:
                await manager.__aexit__(None, None, None)


async def replayed(stage: DeliveryScene, hook: Any, ids: set[str]) -> None:
    """The receiver takes again: a replay brings what lay in the dead letters, once."""
    listed = await command(stage, "deliver", "status")
    row = next(line for line in listed.stdout.splitlines() if line.startswith("refusing "))
    assert row.split()[6] == "400", listed.stdout
    bad = sorted(ids)[:3]

    async def picky(request: Any, body: bytes) -> Any:
        return await (status(422) if json.loads(body)["id"] in bad else ok)(request, body)

    hook.answer = picky
    hook.taken.clear()
    result = await command(stage, "deliver", "replay", "refusing")
    assert result.returncode == 1
    assert "400 dead letters: 397 delivered, 3 refused again, 0 left" in result.stdout, result
    assert set(hook.ids) == ids - set(bad)
    hook.answer = ok
    result = await command(stage, "deliver", "replay", "refusing")
    assert result.returncode == 0, result
    assert "3 dead letters: 3 delivered" in result.stdout
    assert set(hook.ids) == ids
    assert hook.repeats() == 0


async def command(stage: DeliveryScene, *arguments: str, **changed: object) -> Done:
    settings = stage.settings(**changed)
    if stage.deliverers:
        settings["deliver.port"] = stage.deliverers[0].settings["deliver.port"]
    secrets = stage.deliverers[0].secrets if stage.deliverers else {}
    return await run_beside(*arguments, given={**environment(settings), **secrets})


async def test_kills_lose_nothing_and_keep_each_users_order(
    kafka: str, topic_prefix: str, tmp_path: Path, capsys: Any
) -> None:
    count = 20_000
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.make("copy." + topic_prefix, **{"retention.ms": "-1"})
        await stage.define(
            "destinations:\n"
            + webhook("hook", hook.url, target="batch: 50, concurrency: 4")
            + f"- {{name: copy, kind: kafka, kafka: {{topic: copy.{topic_prefix}}}}}\n"
        )
        hook.answer = slow(0.02)
        deliverer = stage.deliverer(worker__id="d1")
        deliverer.start()
        await started(stage, deliverer, "hook", "copy")
        bodies = await stage.send(many(count, users=2000))
        ids = {each["id"] for each in bodies}
        for part in (0.15, 0.4, 0.7):
            want = int(count * part)
            await until(lambda want=want: len(hook.taken) >= want, f"{want} taken", 40, [deliverer])  # type: ignore[misc]
            deliverer.kill()
            deliverer.start()
        await until(lambda: len(set(hook.ids)) == count, "all taken", 60, [deliverer])
        await caught_up(stage, deliverer, "hook")
        await caught_up(stage, deliverer, "copy")
        deliverer.end()
        copied = [json.loads(each.value) for each in await stage.read("copy." + topic_prefix)]
        assert set(hook.ids) == {each["id"] for each in copied} == ids
        repeats = assert_order(hook.taken), assert_order(copied)
        with capsys.disabled():
            print(f"\nrepeats after 3 kills: webhook {repeats[0]}, Kafka {repeats[1]} of {count}")


async def test_two_workers_share_a_destination_and_one_takes_over(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.define("destinations:\n" + webhook("hook", hook.url))
        one, two = stage.deliverer("d1", "hook"), stage.deliverer("d2", "hook")
        one.start()
        await started(stage, one, "hook")
        hook.answer = slow(0.02)
        sent = asyncio.create_task(stage.send(many(4_000, users=400)))
        await until(lambda: len(hook.taken) > 300, "some taken", 30, [one])
        two.start()

        async def shared() -> bool:
            parts = [(await each.status("hook"))["partitions"] for each in (one, two)]
            return all(parts) and sorted(parts[0] + parts[1]) == [0, 1, 2, 3]

        await until(shared, "partitions are shared", 40, [one, two])
        one.end()
        ids = {each["id"] for each in await sent}
        await until(lambda: set(hook.ids) == ids, "all taken", 60, [two])
        await caught_up(stage, two, "hook")
        assert_order(hook.taken)
        assert hook.repeats() < 2 * LEAST_IN_FLIGHT
        two.end()


async def test_a_destination_starts_stops_and_changes_with_its_definition(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path) as stage, receiver() as hook:
        await stage.send(many(10))
        deliverer = stage.deliverer()
        deliverer.start()
        file = tmp_path / "crm.yaml"
        file.write_text("destinations:\n" + webhook("crm", hook.url))
        applied = await command(stage, "destinations", "apply", str(file))
        assert applied.stdout.split() == ["created", "crm", "version", "1"], applied
        await started(stage, deliverer, "crm")
        await stage.send([transition("new", 1)])
        await until(lambda: [each["user_id"] for each in hook.taken] == ["new"], "only new ones", 20)
        file.write_text("destinations:\n" + webhook("crm", hook.url, "transitions: exit, paused: true,"))
        assert "changed" in (await command(stage, "destinations", "apply", str(file))).stdout

        async def state(wanted: str) -> bool:
            return bool((await deliverer.status("crm"))["state"] == wanted)

        await until(lambda: state("paused"), "paused", 20, [deliverer])
        await stage.send([transition("new", 2), transition("newer", 1)])
        file.write_text("destinations:\n" + webhook("crm", hook.url, "transitions: exit,"))
        assert "changed" in (await command(stage, "destinations", "apply", str(file))).stdout
        await until(lambda: len(hook.taken) == 2, "the exit came", 20, [deliverer])
        assert hook.taken[1]["event"] == "exit"
        assert "crm" in (await command(stage, "destinations", "list")).stdout
        missing = await command(stage, "destinations", "delete", "crn")
        assert missing.returncode == 2
        assert "did you mean 'crm'?" in missing.stderr
        assert "deleted" in (await command(stage, "destinations", "delete", "crm")).stdout
        await until(lambda: state("absent"), "gone", 20, [deliverer])
        url = f"{deliverer.url}/v1/destinations/api"
        async with ClientSession() as session:
            async with session.put(url, data="{name: api, kind: webhok, retry: 1}") as answer:
                assert answer.status == 422
                assert len((await answer.json())["errors"]) == 2
            definition = f"{{name: api, kind: webhook, webhook: {{url: '{hook.url}'}}}}"
            for code in (201, 200):
                async with session.put(url, data=definition) as answer:
                    assert answer.status == code
            await started(stage, deliverer, "api")
            await stage.send([transition("other", 1)])
            await until(lambda: len(hook.taken) == 3, "it is delivered to", 20, [deliverer])
            for code in (204, 404):
                async with session.delete(url) as answer:
                    assert answer.status == code
        deliverer.end()

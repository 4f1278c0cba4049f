"""Pages of members and sizes over HTTP: two workers with four partitions, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from agents.backfill.progress.progress import Progress, state_of
from agents.evaluate.members import MOST_DUE, sizes_together
from agents.kafka.placement import partition_of
from rules.time.instants import format_instant
from tests.app.http.lab import api_key
from tests.app.worker.partitions import DEFINITIONS, PARTITIONS, USERS, T, lab
from tests.stage.compare import rules_of


def ids(pages: list[list[Any]]) -> list[str]:
    return [each["user_id"] for page in pages for each in page]


def in_order(users: Iterable[str]) -> list[str]:
    return sorted(users, key=lambda user: (partition_of(user, PARTITIONS), user.encode()))


async def test_pages_have_every_member_once_from_all_partitions_whoever_has_them() -> None:
    async with lab() as stage:
        stage.view(USERS)
        stage.view(["other"], project="shop")
        for limit in (1, 7, 1_000):
            pages = await stage.pages("viewers", limit)
            assert ids(pages) == in_order(USERS)
            assert {len(page) for page in pages[:-1]} <= {limit}
        assert ids(await stage.pages("shoppers", 5, query="&project=shop")) == ["other"]
        _, body, _ = await stage.get("/v1/audiences/brief/members?limit=1", 1)
        assert body["members"][0] == {
            "user_id": in_order(USERS)[0],
            "since": format_instant(T),
            "exit_at": format_instant(T + 10_000),
            "version": 1,
        }
        assert (body["audience"], body["project"], body["at"]) == ("brief", "default", format_instant(T))


async def test_a_cursor_stays_good_while_partitions_move() -> None:
    async with lab() as stage:
        stage.view(USERS)
        _, first, _ = await stage.get("/v1/audiences/viewers/members?limit=20")
        stage.assign(dict.fromkeys(range(PARTITIONS), 1))
        _, rest, _ = await stage.get(f"/v1/audiences/viewers/members?limit=100&after={first['next']}")
        assert ids([first["members"], rest["members"]]) == in_order(USERS)
        assert rest["next"] is None


async def test_lines_of_json_have_the_next_page_in_a_header() -> None:
    async with lab() as stage:
        stage.view(USERS)
        found: list[Any] = []
        path = "/v1/audiences/viewers/members?limit=50&format=jsonl"
        while path:
            status, lines, headers = await stage.get(path)
            assert (status, headers["turnstile-at"]) == (200, format_instant(T))
            found += lines
            link = headers.get("Link", "")
            path = link.removeprefix("<").partition(">")[0]
        assert ids([found]) == in_order(USERS)
        _, lines, _ = await stage.get(
            "/v1/audiences/viewers/members", 0, Accept="application/x-ndjson, */*;q=0.1"
        )
        assert len(lines) == 60


async def test_a_page_and_a_size_are_right_at_their_instant_when_timers_are_due() -> None:
    async with lab() as stage:
        stage.view(USERS[:40], T)
        stage.view(USERS[40:], T + 5_000)
        stage.now_ms = T + 12_000
        assert ids(await stage.pages("brief", 7)) == in_order(USERS[40:])
        assert ids(await stage.pages("idle", 7)) == in_order(USERS[:40])
        for audience, size in (("brief", 20), ("idle", 40), ("viewers", 60)):
            _, body, _ = await stage.get(f"/v1/audiences/{audience}/size", 1)
            assert body == {
                "audience": audience,
                "project": "default",
                "at": format_instant(T + 12_000),
                "members": size,
            }
        kept = sizes_together(rules_of(DEFINITIONS), stage.pipelines)
        assert kept["default", "brief"] == 60, "none of these timers has fired"


async def test_more_due_timers_than_one_answer_decides_are_an_answer_for_later() -> None:
    async with lab() as stage:
        home = partition_of("user-000", PARTITIONS)
        many = [
            name for name in map("many-{}".format, range(6_000)) if partition_of(name, PARTITIONS) == home
        ]
        stage.view(many[: MOST_DUE + 1])
        stage.now_ms = T + 20_000
        _, body, _ = await stage.get("/v1/audiences/brief/size")
        assert (body["members"], body["at"]) == (MOST_DUE + 1, format_instant(T + 10_000))
        status, after = 200, ""
        while status == 200:
            status, body, headers = await stage.get(f"/v1/audiences/brief/members{after}")
            after = f"?after={body.get('next')}"
        assert (status, headers.get("Retry-After")) == (503, "1")
        assert "timers are due" in body["detail"]


async def test_what_is_being_moved_is_named_and_what_is_there_is_given() -> None:
    async with lab() as stage:
        stage.view(USERS)
        stage.assign({0: 0, 1: 1, 3: 1})  # partition 2 is nobody's
        status, body, _ = await stage.get("/v1/audiences/viewers/size")
        assert (status, body["detail"]) == (503, "partition 2 is being moved or restored")
        status, page, _ = await stage.get("/v1/audiences/viewers/members?limit=1000")
        assert status == 200
        assert {partition_of(each, PARTITIONS) for each in ids([page["members"]])} == {0, 1}
        status, body, _ = await stage.get(f"/v1/audiences/viewers/members?after={page['next']}")
        assert (status, body["detail"]) == (503, "partition 2 is being moved or restored")


async def test_while_rows_are_looked_at_for_new_definitions_the_answer_is_409() -> None:
    async with lab() as stage:
        stage.view(USERS)
        more = DEFINITIONS + "  - {id: more, name: More, rule: {event: buy}}\n"
        stage.define(rules_of(more, 2), sweep=False)
        for path in ("members", "size"):
            status, body, _ = await stage.get(f"/v1/audiences/more/{path}")
            assert (status, body["title"]) == (409, "Audience is not ready")


async def test_a_new_audience_answers_409_with_its_progress_until_it_is_ready() -> None:
    async with lab() as stage:
        stage.view(USERS)
        stage.publish(rules_of(DEFINITIONS + "  - {id: more, name: More, rule: {event: buy}}\n"))
        stage.state = state_of({0: Progress("replaying", done=1, total=4)}, 1)
        for path in ("members", "size"):
            status, body, _ = await stage.get(f"/v1/audiences/more/{path}")
            assert (status, body["title"]) == (409, "Audience is not ready")
            assert "replaying, 25%" in body["detail"]
        _, held, _ = await stage.get("/v1/partitions/sizes")
        assert {each["unsettled"][0] for each in held["partitions"].values()} == {"more"}


async def test_who_works_on_definitions_may_see_sizes_and_not_members() -> None:
    """Also where another worker is asked for a part of them."""
    keys = [api_key(name, name, projects=["default"]) for name in ("lookup", "audiences", "destinations")]
    async with lab(*keys) as stage:
        stage.view(USERS)
        asked = {
            (key, path): (await stage.get(f"/v1/audiences/viewers/{path}", 0, **{"api-key": key}))[:2]
            for key in ("lookup", "audiences", "destinations")
            for path in ("members", "size")
        }
        statuses = {name: status for name, (status, _) in asked.items()}
        allowed = {("lookup", "members"), ("lookup", "size"), ("audiences", "size")}
        assert statuses == {name: 200 if name in allowed else 403 for name in asked}
        assert asked["audiences", "size"][1]["members"] == 60


async def test_an_edited_audience_has_the_members_of_the_version_that_decides() -> None:
    """Its cursor and its sizes, too: nothing of the version to come is in them before the cut."""
    async with lab() as stage:
        stage.view(USERS)
        edited = DEFINITIONS.replace("{event: view}}", "{all: [{audience: brief}, {event: buy}]}}", 1)
        stage.publish(rules_of(edited, 2))
        stage.state = state_of({}, 1)
        for worker in stage.workers:
            for name in ("viewers", "brief", "idle"):
                before = SimpleNamespace(deleted=False)
                worker.feed.versions[f"default/{name}".encode()] = {1: before}
        assert ids(await stage.pages("viewers", 25)) == in_order(USERS)
        _, body, _ = await stage.get("/v1/audiences/viewers/size")
        assert body["members"] == 60


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("viewrs/members", 404, "has no audience"),
        ("viewrs/size", 404, "has no audience"),
        ("viewers/members?limit=0", 400, "limit is 1 to 1000"),
        ("viewers/members?limit=1001", 400, "limit is 1 to 1000"),
        ("viewers/members?limit=x", 400, "limit is 1 to 1000"),
        ("viewers/members?after=zzz", 400, "no `next`"),
        ("viewers/members?after=kwXEAAE", 400, "no `next`"),
        ("viewers/members?format=csv", 400, "json or jsonl"),
        ("viewers/members?first=1", 400, "doesn't take"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(path: str, status: int, told: str) -> None:
    async with lab() as stage:
        stage.view(USERS)
        got, body, _ = await stage.get(f"/v1/audiences/{path}")
        assert got == status
        assert told in body["detail"]


async def test_sizes_of_all_workers_add_up_in_the_metrics() -> None:
    async with lab() as stage:
        stage.view(USERS)
        shown = 0
        for worker in stage.workers:
            pipelines = [task.pipeline for task in worker.evaluator.tasks.values()]
            worker.metrics.sizes(sizes_together(worker.evaluator.rules, pipelines))
            for line in generate_latest(worker.metrics.registry).decode().splitlines():
                if line.startswith('turnstile_audience_members{audience="viewers",project="default"}'):
                    shown += int(float(line.split()[-1]))
        assert shown == 60

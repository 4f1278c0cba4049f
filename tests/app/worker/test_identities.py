"""Users are named by their identities wherever a user is named, whichever worker is asked."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from urllib.parse import quote

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.operating import identities
from app.worker.identities import rebuilding
from tables.claims import Record, Standing, decode_key, decode_standing
from tests.app.worker.partitions import PARTITIONS, T, lab

EMAILS = {f"u{number}": f"u{number}@example.com" for number in range(8)}


@pytest.mark.parametrize("path", ["/v1/users/{}", "/v1/users/{}/audiences", "/v1/users/{}/explain/viewers"])
async def test_every_path_of_a_user_takes_an_identity(path: str) -> None:
    async with lab() as stage:
        for user, email in EMAILS.items():
            stage.view([user], identities={"email": email})
        for number, (user, email) in enumerate(EMAILS.items()):
            named = path.format(quote(f"email:{email}", safe=""))
            status, body, _ = await stage.get(f"{named}?by=identity", worker=number % 2)
            assert (status, body["user_id"]) == (200, user), body
        status, body, _ = await stage.get(path.format("email:nobody@example.com") + "?by=identity")
        assert status == 404
        status, body, _ = await stage.get("/v1/audiences/viewers/members/email:u1@example.com?by=identity")
        assert (status, body["member"]) == (200, True)


async def test_users_of_several_namespaces_are_looked_up_at_once_and_told_how_old_that_is() -> None:
    async with lab() as stage:
        stage.view(["ann"], identities={"email": "a@b.c"})
        stage.view(["bob"], identities={"phone": "7"})
        users = [
            {"identity": {"phone": "7"}},
            {"user_id": "ann"},
            {"identity": {"email": "a@b.c"}},
            {"identity": {"email": "7"}},
        ]
        for worker in (0, 1):
            _, body, _ = await stage.post("/v1/lookup", {"users": users, "audiences": ["viewers"]}, worker)
            found = body["users"]
            assert [each["user_id"] for each in found] == ["bob", "ann", "ann", None]
            assert [each["status"] for each in found] == ["ok", "ok", "ok", "unknown_user"]
            at = "2023-11-14T22:13:20.000Z"
            assert [each.get("resolved_as_of") for each in found] == [at, None, at, at]


async def test_where_nobody_can_be_asked_an_identity_is_unavailable_and_the_others_are_told() -> None:
    asked = {"identities": [{"email": email} for email in (*EMAILS.values(), "nobody@example.com")]}
    async with lab() as stage:
        for user, email in EMAILS.items():
            stage.view([user], identities={"email": email})
        _, body, headers = await stage.post("/v1/identities:resolve", asked, worker=1)
        told = body["identities"]
        assert [each["user_id"] for each in told] == [*EMAILS, None]
        assert [each["status"] for each in told] == ["ok"] * 8 + ["unknown_user"]
        assert "Retry-After" not in headers
        assert told[0]["identity"] == {"email": "u0@example.com"}
        stage.assign({0: 0, 1: 1, 2: 0})  # partition 3 is nobody's
        _, body, headers = await stage.post("/v1/identities:resolve", asked)
        statuses = [each["status"] for each in body["identities"]]
        assert {*statuses} == {"ok", "unavailable"} or "unavailable" in statuses
        assert "Retry-After" in headers
        lost = statuses.index("unavailable")
        assert body["identities"][lost]["as_of"] is None
        path = f"/v1/users/email:u{lost}@example.com?by=identity"
        assert (await stage.get(path))[0] == 503


async def test_projects_know_nothing_of_each_others_identities() -> None:
    async with lab() as stage:
        stage.view(["ann"], identities={"email": "a@b.c"})
        stage.view(["sue"], project="shop", identities={"email": "a@b.c"})
        asked = {"identities": [{"email": "a@b.c"}]}
        for project, user in (("default", "ann"), ("shop", "sue")):
            _, body, _ = await stage.post(f"/v1/identities:resolve?project={project}", asked)
            assert body["identities"][0]["user_id"] == user
        _, body, _ = await stage.get("/v1/identities/collisions")
        assert body["collisions"] == []


async def test_all_that_is_wrong_with_identities_is_told() -> None:
    async with lab() as stage:
        status, body, _ = await stage.post(
            "/v1/identities:resolve", {"identities": [{"email": ""}, {"a": "1", "b": "2"}, {"email": "a"}]}
        )
        assert status == 400
        assert [each["path"] for each in body["errors"]] == [
            "identities[0].identity",
            "identities[1].identity",
        ]
        assert (await stage.post("/v1/identities:resolve", {"identities": []}))[0] == 400
        assert (await stage.post("/v1/identities:resolve", {"identity": []}))[0] == 400


async def test_the_owner_of_an_identity_asks_for_the_callers_key() -> None:
    key = {"name": "k", "sha256": sha256(b"secret").hexdigest(), "scopes": ["lookup"]}
    async with lab(key) as stage:
        for user, email in EMAILS.items():
            stage.view([user], identities={"email": email})
        asked = {"identities": [{"email": email} for email in EMAILS.values()]}
        assert (await stage.post("/v1/identities:resolve", asked))[0] == 401
        _, body, _ = await stage.post("/v1/identities:resolve", asked, **{"api-key": "secret"})
        assert [each["user_id"] for each in body["identities"]] == [*EMAILS]


async def test_with_a_source_of_sensors_data_a_distinct_id_is_the_user_id() -> None:
    formats = json.dumps([{"topic": "events", "format": "sensors"}])
    async with lab(TURNSTILE_TOPICS__EVENTS='["events"]', TURNSTILE_SOURCES__FORMATS=formats) as stage:
        stage.view(["ann"])
        status, body, _ = await stage.get("/v1/users/distinct_id:ann?by=identity")
        assert (status, body["user_id"]) == (200, "ann")


async def test_collisions_are_listed_over_all_workers() -> None:
    async with lab() as stage:
        for at, user in enumerate(["ann", "bob", "cy"]):
            stage.view([user], T + at, identities={f"n{number}": "same" for number in range(9)})
        stage.view(["cy"], T + 3, identities={"n0": None})
        found, after = [], ""
        while True:
            status, body, _ = await stage.get(f"/v1/identities/collisions?limit=4{after}")
            assert status == 200, body
            found += body["collisions"]
            if body["next"] is None:
                break
            after = f"&after={body['next']}"
        claims = {next(iter(each["identity"])): each for each in found}
        assert sorted(claims) == [f"n{number}" for number in range(9)]
        assert [each["user_id"] for each in claims["n1"]["claims"]] == ["cy", "ann", "bob"]
        assert [each["user_id"] for each in claims["n0"]["claims"]] == ["bob", "ann"]
        assert (claims["n1"]["claimants"], claims["n0"]["claimants"]) == (3, 2)
        assert (await stage.get("/v1/identities/collisions?after=x"))[0] == 400
        assert len({stage.identities[each].collisions for each in range(PARTITIONS)} - {0}) > 0


async def run(url: str, *command: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, [*command, "--url", url])


async def test_commands_name_users_by_identities_and_list_collisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "PAGE", 1)
    async with lab() as stage:
        url = stage.urls[1]
        assert (await run(url, "identities")).stdout == "no identity is claimed by several users\n"
        for at, (user, email) in enumerate(EMAILS.items()):
            stage.view([user], T + at, identities={"email": email, "device": str(at // 2)})
        assert "viewers" in (await run(url, "lookup", "u3@example.com", "--by", "email")).stdout
        assert (await run(url, "lookup", "u3@example.com", "viewers", "--by", "email")).exit_code == 0
        assert "'u3' is in viewers" in (
            await run(url, "explain", "u3@example.com", "viewers", "--by", "email")
        ).stdout.replace('"', "'")
        assert (await run(url, "lookup", "no@example.com", "--by", "email")).exit_code != 0
        lines = (await run(url, "identities")).stdout.splitlines()
        assert len(lines) == 4
        assert (
            "device 0: u1 since 2023-11-14T22:13:20.001Z; also claimed by u0 (2023-11-14T22:13:20.000Z)"
            in lines
        )
        told = [json.loads(line) for line in (await run(url, "identities", "--json")).stdout.splitlines()]
        assert {each["claimants"] for each in told} == {2}


async def test_what_rows_have_is_claimed_as_of_their_first_record_page_by_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilding, "ROWS", 3)
    async with lab() as stage:
        stage.view(EMAILS, T)
        stage.view(["sue"], T, project="shop", identities={"email": "u0@example.com"})
        for user, email in EMAILS.items():
            stage.view([user], T + 5, identities={"email": email, "gone": "x"})
            stage.view([user], T + 6, identities={"gone": None})
        for each in stage.identities:  # as if they were from before there were claims
            each.take([Record(key, None) for key, _ in each.claims(b"", 1_000)], each.position, b"")
        told = (await run(stage.urls[1], "identities", "rebuild")).stdout
        assert told.startswith("9 rows were looked at, and ")
        assert {decode_standing(each.value or b"") for each in stage.claimed} == {Standing(T, False)}
        assert {decode_key(each.key) for each in stage.claimed} == {
            (("default", "email", email), user) for user, email in EMAILS.items()
        }
        _, body, _ = await stage.post(
            "/v1/identities:resolve", {"identities": [{"email": each} for each in EMAILS.values()]}
        )
        assert [each["user_id"] for each in body["identities"]] == [*EMAILS]
        assert "1 claims" in (await run(stage.urls[0], "identities", "rebuild", "--project", "shop")).stdout
        stage.assign({0: 0, 1: 1, 2: 0})  # partition 3 is nobody's
        assert (await stage.post("/v1/identities:rebuild?after=kwPEAAE", {}))[0] == 503
        assert (await stage.post("/v1/identities:rebuild?after=x", {}))[0] == 400


async def test_rebuilding_needs_the_scope_admin() -> None:
    key = {"name": "k", "sha256": sha256(b"secret").hexdigest(), "scopes": ["lookup"]}
    async with lab(key) as stage:
        status, _, _ = await stage.post("/v1/identities:rebuild", {}, **{"api-key": "secret"})
        assert status == 403


async def test_attributes_of_many_users_are_told_wherever_the_users_are() -> None:
    async with lab() as stage:
        users = [f"u{number}" for number in range(8)]
        for number, user in enumerate(users):
            stage.view([user], identities={"email": EMAILS[user]})
            stage.update(user, country="DE", number=number, tags=["a", {"b": None}])
        named = [{"identity": {"email": EMAILS["u3"]}}, *({"user_id": each} for each in (*users, "nobody"))]
        for worker in (0, 1):
            asked = {"users": named, "audiences": ["viewers"], "attributes": ["number", "no", "tags"]}
            _, body, _ = await stage.post("/v1/lookup", asked, worker)
            found = [each.get("attributes") for each in body["users"]]
            assert found == [
                {"number": 3, "tags": ["a", {"b": None}]},
                *({"number": number, "tags": ["a", {"b": None}]} for number in range(8)),
                None,
            ]
            assert all(each["memberships"]["viewers"]["member"] for each in body["users"][:-1])
            _, body, _ = await stage.post("/v1/lookup", {**asked, "attributes": True}, worker)
            assert body["users"][1]["attributes"] == {
                "country": "DE",
                "number": 0,
                "tags": ["a", {"b": None}],
            }
            _, body, _ = await stage.post("/v1/lookup", {"users": named}, worker)
            assert not any("attributes" in each for each in body["users"])


async def test_the_command_prints_attributes() -> None:
    async with lab() as stage:
        stage.view(["ann"])
        stage.update("ann", country="DE\x1b", tags=[1])
        told = (await run(stage.urls[1], "lookup", "ann", "--attributes")).stdout
        assert told.splitlines()[-2:] == ['country: "DE\\u001b"', "tags: [1]"]
        told = (await run(stage.urls[1], "lookup", "ann", "--attributes", "--json")).stdout
        assert json.loads(told)["attributes"] == {"country": "DE\x1b", "tags": [1]}
        assert (await run(stage.urls[1], "lookup", "ann", "viewers", "--attributes")).exit_code == 2

"""What the paths of the audience engine answer: examples of its documentation, and whatever is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.deliver.secrets.masking import MASK
from agents.notices.addresses import AuthHeader, NotifyAddress
from app.http.users import UserRef
from app.lookup.model import Status
from app.sensors import exists
from tests.app.sensors import seed
from tests.app.sensors.process import Process, serving
from tests.app.sensors.seed import ENVELOPE, KEYS, without_ids

CREATED_MS = 1_687_846_734_155
NOTIFY, META = "/express-notify", "/express-audience-meta"
ONE = "/express-audience-online/audience-entity/exists"
MANY = "/express-audience-online/audience-entities/exists"
VIEWERS = "{id: '9999', name: Viewers, rule: {event: view}}"
BUYERS = "{id: ddw, name: Buyers, rule: {event: buy}}"
DAILY = "{id: test_12, name: test12, type: batch, schedule: daily, rule: {event: view}}"
ADDRESS = NotifyAddress("n", "https://h.example/a", "API_KEY", "RETRYABLE", (AuthHeader("key1", "secret"),))


@pytest.fixture
def process() -> Process:
    made = Process()
    for each in (VIEWERS, BUYERS):
        made.publish(each)
    return made


async def test_an_audience_is_shown_as_in_the_example(process: Process) -> None:
    process.publish(DAILY, created_ms=CREATED_MS)
    async with serving(process) as client:
        for path in ("/rule/query", "//rule/query"):
            status, text = await client.ask("POST", META + path, seed.QUERY_SOME)
            number, name = text.rsplit(b"user_group_", 1)[1].split(b'"')[0], b"pj2_o_1687846730155"
            assert number.startswith(b"pj")
            assert number.endswith(b"_o_%d" % CREATED_MS)
            assert (status, without_ids(text.replace(number, name))) == (200, without_ids(seed.RULES))


async def test_users_are_told_as_in_the_examples(process: Process) -> None:
    process.members = {"2345353434": {"9999"}, "account_xx_81672273": {"9999"}}
    async with serving(process) as client:
        _, text = await client.ask("POST", ONE, seed.ONE_USER)
        found = {name: each for name, each in json.loads(text).items() if name != "data"}
        assert without_ids(json.dumps(found)) == without_ids(seed.ONE_USER_FOUND)
        assert process.asked[0].users == (UserRef("2345353434"),)
        assert await client.data("POST", MANY, seed.MANY_USERS) == [False, True, True]
        named = [each.user_id for each in process.asked[1].users]
        assert named == ["123", "account_xx_81672273", "account_xx_81672273"]


@dataclass
class Named:
    entity: dict[str, Any]
    users: list[UserRef]
    formats: dict[str, Any] = field(default_factory=lambda: {"formats": []})


@pytest.mark.parametrize(
    "case",
    [
        Named({"entity_id": {"int_value": "007"}}, [UserRef("7")]),
        Named({"entity_id": {"int_value": -9223372036854775808}}, [UserRef("-9223372036854775808")]),
        Named({"entity_id": {"int_value": 0, "string_value": "0"}}, [UserRef("0")]),
        Named({"entity_id": {"string_value": "Ünï"}, "identity_id_map": {"a": "b"}}, [UserRef("Ünï")]),
        Named({"entity_id": {}, "identity_id_map": {"email": "a@b.c"}}, [UserRef(None, ("email", "a@b.c"))]),
        Named({"entity_id": None, "identity_id_map": {"phone": 7}}, [UserRef(None, ("phone", "7"))]),
        Named({"identity_id_map": {"distinct_id": "d"}}, [UserRef(None, ("distinct_id", "d"))]),
        Named(
            {"identity_id_map": {"a": "1", "b": "2"}, "more": 1},
            [UserRef(None, ("a", "1")), UserRef(None, ("b", "2"))],
        ),
    ],
    ids=lambda case: json.dumps(case.entity),
)
async def test_each_way_to_name_a_user_asks_for_that_user(case: Named) -> None:
    process = Process(sources=case.formats)
    process.publish(VIEWERS)
    body = {"audience_biz_id": "9999", "audience_entity_ids": [{"entity_name": "user", **case.entity}]}
    async with serving(process) as client:
        assert await client.data("POST", MANY, json.dumps(body)) == [False]
    assert [list(each.users) for each in process.asked] == [case.users]


async def test_of_several_identities_the_first_that_is_known_counts(process: Process) -> None:
    process.members = {"b:2": {"9999"}, "c:3": set()}
    entities = [
        {"identity_id_map": names} for names in ({"a": "1", "b": "2"}, {"c": "3", "b": "2"}, {"a": "1"})
    ]
    body = {"audience_biz_id": "9999", "audience_entity_ids": entities}
    async with serving(process) as client:
        assert await client.data("POST", MANY, json.dumps(body)) == [True, False, False]


@pytest.mark.parametrize(
    "entity",
    [
        {},
        {"entity_name": "device", "entity_id": {"int_value": 1}},
        {"entity_id": {"int_value": 1.5}},
        {"entity_id": {"int_value": True}},
        {"entity_id": {"int_value": "1e3"}},
        {"entity_id": {"int_value": "٣"}},
        {"entity_id": {"int_value": 2**63}},
        {"entity_id": {"int_value": "9" * 5000}},
        {"entity_id": {"int_value": 1, "string_value": "2"}},
        {"entity_id": {"string_value": ""}},
        {"entity_id": {"string_value": "x" * 10_000}},
        {"identity_id_map": {}},
        {"identity_id_map": {"": "x"}},
        {"identity_id_map": {"a": None}},
    ],
    ids=lambda entity: json.dumps(entity)[:60],
)
async def test_what_names_no_user_is_refused(process: Process, entity: dict[str, Any]) -> None:
    async with serving(process) as client:
        body = json.dumps({"audience_biz_ids": ["9999"], "audience_entity_id": entity})
        status, text = await client.ask("POST", ONE, body)
    assert (status, json.loads(text)["code"], process.asked) == (400, "BAD_REQUEST", [])


async def test_whatever_is_wrong_has_the_envelope_and_leaks_nothing(process: Process) -> None:
    process.address(ADDRESS)
    process.publish("{id: theirs, name: T, project: other, rule: {event: view}}")
    unknown = json.dumps({**json.loads(seed.ONE_USER), "audience_biz_ids": ["9999", "999", "theirs"]})
    config = json.loads(seed.SET_NOTIFY)["notify_config"]
    wrong = {**config, "auth_type": "API", "send_mode": "x", "notify_address": "ftp://h", "notify_id": ""}
    masked = {**config, "auth_configs": [{"key": "host", "value": MASK}]}
    cases: list[tuple[int, str, tuple[Any, ...], dict[str, str]]] = [
        (401, "UNAUTHORIZED", ("POST", ONE, seed.ONE_USER), {"key": ""}),
        (401, "UNAUTHORIZED", ("POST", ONE, seed.ONE_USER), {"key": "#K-wrong"}),
        (403, "FORBIDDEN", ("POST", ONE, seed.ONE_USER), {"key": KEYS["notify"]}),
        (403, "FORBIDDEN", ("GET", NOTIFY + "/get"), {"key": KEYS["online"]}),
        (403, "FORBIDDEN", ("POST", ONE, seed.ONE_USER), {"sensorsdata-project": "other"}),
        (403, "FORBIDDEN", ("POST", META + "/rule/query", seed.QUERY_ALL), {"sensorsdata-project": ""}),
        (404, "AUDIENCE_NOT_FOUND", ("POST", ONE, unknown), {}),
        (404, "NOT_FOUND", ("POST", META + "/rule/other", "{}"), {}),
        (405, "METHOD_NOT_ALLOWED", ("GET", ONE), {}),
        (400, "BAD_REQUEST", ("POST", ONE, "{"), {}),
        (400, "BAD_REQUEST", ("POST", ONE, b"\xff"), {}),
        (400, "BAD_REQUEST", ("POST", ONE, "[" * 5000), {}),
        (400, "BAD_REQUEST", ("POST", ONE + "?a=1", seed.ONE_USER), {}),
        (400, "BAD_REQUEST", ("POST", ONE + "?%ff", seed.ONE_USER), {}),
        (400, "BAD_REQUEST", ("POST", META + "/rule/query", '{"query_type": "QUERY"}'), {}),
        (400, "BAD_REQUEST", ("POST", META + "/rule/query", '{"query_type": "QUERY_BY_BIZ_ID_LIST"}'), {}),
        (400, "BAD_REQUEST", ("POST", NOTIFY + "/set", '{"notify_config": {}}'), {}),
        (400, "BAD_REQUEST", ("POST", NOTIFY + "/set", json.dumps({"notify_config": wrong})), {}),
        (400, "BAD_REQUEST", ("POST", NOTIFY + "/set", json.dumps({"notify_config": masked})), {}),
        (413, "PAYLOAD_TOO_LARGE", ("POST", ONE, " " * 2_000_000), {}),
    ]
    async with serving(process) as client:
        for status, code, asked, given in cases:
            found, text = await client.ask(*asked, **given)
            body = json.loads(text)
            told = body["error_info"]
            assert (found, body["code"], list(body)) == (status, code, ENVELOPE), (asked[:2], text)
            assert (body["message"], body["data"], told["status"]) == (told["detail"], None, status)
            assert b"secret" not in text
        _, text = await client.ask("POST", ONE, unknown)
        messages = [each["message"] for each in json.loads(text)["error_info"]["errors"]]
        assert messages == ["no audience '999'", "no audience 'theirs'"]
        _, text = await client.ask("POST", NOTIFY + "/set", json.dumps({"notify_config": wrong}))
        paths = {each["path"] for each in json.loads(text)["error_info"]["errors"]}
        fields = ("auth_type", "notify_address", "notify_id", "send_mode")
        assert paths == {f"$.notify_config.{each}" for each in fields}
        refused = [
            await client.ask("POST", ONE, seed.ONE_USER, **{"sensorsdata-project": name})
            for name in ("other", "nobodys")
        ]
        assert without_ids(refused[0][1].replace(b"other", b"nobodys")) == without_ids(refused[1][1])


async def test_thousands_of_unknown_audiences_are_all_told_and_soon(process: Process) -> None:
    ids = [f"9{number}" for number in range(10_000)]
    body = {"audience_biz_ids": ids, "audience_entity_id": {"entity_id": {"int_value": 1}}}
    async with serving(process) as client:
        status, text = await client.ask("POST", ONE, json.dumps(body))
    told = json.loads(text)
    assert (status, len(told["error_info"]["errors"])) == (404, 9_999)
    assert told["message"].endswith("and 9989 others")
    assert sum(bool(each["hint"]) for each in told["error_info"]["errors"]) == 10


@pytest.mark.parametrize(
    ("status", "answer"),
    [("unavailable", (503, "SERVICE_UNAVAILABLE")), ("not_ready", (409, "AUDIENCE_NOT_READY"))],
)
async def test_what_cant_be_told_now_is_no_answer(
    process: Process, status: Status, answer: tuple[int, str]
) -> None:
    process.status = status
    async with serving(process) as client:
        found, text = await client.ask("POST", ONE, seed.ONE_USER)
        assert (found, json.loads(text)["code"]) == answer


async def test_a_key_that_asks_too_often_has_the_envelope() -> None:
    process = Process(http={"rate_limit": 1, "rate_burst": 2})
    async with serving(process) as client:
        answers = [await client.ask("POST", META + "/rule/query", seed.QUERY_ALL) for _ in range(3)]
    assert [(status, json.loads(text)["code"]) for status, text in answers] == [
        (200, "SUCCESS"),
        (200, "SUCCESS"),
        (429, "TOO_MANY_REQUESTS"),
    ]


async def test_a_fault_of_ours_has_the_envelope_and_tells_nothing(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "asked", None)  # its look raises
    async with serving(process) as client:
        status, text = await client.ask("POST", ONE, seed.ONE_USER)
    assert (status, json.loads(text)["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert b"append" not in text


async def test_nothing_and_too_much_at_once(process: Process) -> None:
    async with serving(process) as client:
        empty = {"audience_biz_ids": [], "audience_entity_id": {"entity_id": {"int_value": 1}}}
        assert await client.data("POST", ONE, json.dumps(empty)) == {}
        many: dict[str, Any] = {"audience_biz_id": "9999", "audience_entity_ids": []}
        assert await client.data("POST", MANY, json.dumps(many)) == []
        assert process.asked == []
        many["audience_entity_ids"] = [{"entity_id": {"int_value": each}} for each in range(1001)]
        status, text = await client.ask("POST", MANY, json.dumps(many))
        assert (status, exists.MOST_USERS) == (400, 1000)
        assert "1000 items at most, not 1001" in json.loads(text)["message"]


async def test_the_values_of_headers_are_never_shown(process: Process) -> None:
    process.address(ADDRESS)
    async with serving(process) as client:
        shown = (await client.data("GET", NOTIFY + "/get"))["notify_config"]
        assert shown["auth_configs"] == [{"key": "key1", "value": MASK}]
        process.address(None)
        assert await client.data("GET", NOTIFY + "/get") == {"notify_config": None}


async def test_an_audience_is_ready_when_lookups_are_answered_in_every_partition(process: Process) -> None:
    async def shown() -> dict[str, Any]:
        async with serving(process) as client:
            found = (await client.data("POST", META + "/rule/query", seed.QUERY_ALL))["rules"]
        return {each["audience_biz_id"]: each for each in found}["9999"]

    async def is_ready() -> bool:
        return bool((await shown())["audience_data_ready"])

    assert not await is_ready()
    process.tell("9999", 1, "ready", "cut")
    assert not await is_ready()
    process.tell("9999", 1, "ready", "ready")
    assert await is_ready()
    process.publish(VIEWERS.replace("view", "look"), version=2, created_ms=CREATED_MS)
    process.tell("9999", 2, "replaying", "cut")
    assert await is_ready()  # the version before goes on answering
    found = await shown()
    assert (found["create_time"], found["update_time"]) == ("1970-01-01T00:00:00Z", "2023-06-27T06:18:54Z")
    assert found["rule_status"] == "ENABLE"
    process.tell("9999", 2, "failed")
    assert (await shown())["rule_status"] == "UNABLE"
    process.publish(VIEWERS, version=3, created_ms=CREATED_MS, deleted=True)
    process.publish(VIEWERS, version=4, created_ms=CREATED_MS + 1000)
    assert not await is_ready()
    assert (await shown())["create_time"] == "2023-06-27T06:18:55Z"

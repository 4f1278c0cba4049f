"""URLs of webhooks: what data may not change, what arrives, what is refused."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from agents.deliver.definitions.parse import parse_destinations
from agents.deliver.definitions.urls import UrlTemplate
from tests.stage.delivery import transition
from tests.stage.delivery_engine import lab, message, messages
from tests.stage.receiver import Receiver, receiver


def webhook(url: str, **target: object) -> str:
    return json.dumps({"name": "a", "kind": "webhook", "webhook": {"url": url, **target}})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://${id}.example/", "can't hold a variable"),
        ("https://x:${id}/", "can't hold a variable"),
        ("${id}://x/", "must start with"),
        ("https://good@evil.example/", "user name and password"),
        ("https://good:pass@evil.example/", "user name and password"),
        ("https://good.example\\@evil.example/", "user name and password"),
        ("https:///path", "isn't an address"),
        ("https://a b/", "isn't an address"),
        ("https://2130706433/", "isn't an address"),
        ("https://0x7f.1/", "isn't an address"),
        ("https://x:99999/", "isn't an address"),
        ("ftp://x/", "must start with"),
        ("https://x/a b", "' ' can't be in a url: write %20"),
        ("https://x/ü", "write %C3%BC"),
        ("https://x/a\\b", "write %5C"),
        ("https://x/%zz", "'%' can't be in a url: write %25"),
        ("https://x/100%", "write %25"),
        ("https://x/${user id}", "write %7B"),
        ("https://x/a#${user_id}", "a fragment is never sent"),
        ("https://x/a/../b", r". or .."),
        ("https://x/a/%2e%2E/b", r". or .."),
        ("https://x/.", r". or .."),
        ("https://x/\n", "write %0A"),
    ],
)
def test_an_address_that_data_or_a_receiver_could_change_is_refused_when_it_is_written(
    url: str, says: str
) -> None:
    _, problems = parse_destinations(webhook(url), "a.yaml")
    assert [says in str(each) for each in problems] == [True], problems


async def paths(hook: Receiver, url: str, users: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The paths as they arrived, byte for byte, and the dead letters."""
    async with lab(webhook(f"http://127.0.0.1:{hook.port}{url}")) as made:
        await made.deliver(messages([transition(user, 1) for user in users]))
        return (
            [request.raw_path for request, _ in hook.requests],
            [(each.user_id, code) for each, code, _ in made.buried],
        )


UNSAFE = [
    *(
        ".",
        "..",
        "...",
        "%2e",
        "%2E%2e",
        "%252e%252e",
        ".%2e",
        "．．",
        "․․",
        ".. ",
        "a/b",
        "/",
        "\\",
        "..\\x",
    ),
    *(
        "%2f",
        "%2F",
        "%252F",
        "a%2f..%2fb",
        "..;",
        "a;b",
        ";x",
        "%3b",
        "a\0",
        "%00",
        "a\nb",
        "a\x7f",
        "\t",
        "／",
        " ",
    ),
]


@pytest.mark.parametrize("user", UNSAFE, ids=ascii)
async def test_a_user_id_that_could_lead_to_another_path_is_a_dead_letter(user: str) -> None:
    async with receiver() as hook:
        arrived, dead = await paths(hook, "/users/${user_id}/notify", [user, "u1"])
        assert dead == [(user, "unsafe_path")]
        assert arrived == ["/users/u1/notify"]


SAFE = [
    "u1",
    "a.b",
    "a..b",
    ".a",
    "a@b.example",
    "50%",
    "100%25",
    "a?b",
    "a#b",
    "a b+c",
    "ü€",
    "x%zz",
    "a:b,c=d&e",
]


async def test_all_other_values_are_encoded_as_a_whole_and_arrive_as_they_are() -> None:
    async with receiver() as hook:
        arrived, dead = await paths(hook, "/users/${user_id}/x-${user_id}%2Fy?u=${user_id}&n=1", SAFE)
        assert dead == []
        assert len(arrived) == len(SAFE)
        for path in arrived:
            before, _, query = path.partition("?")
            _, users, user, again = before.split("/")
            assert users == "users"
            assert again == f"x-{user}%2Fy"
            assert query == f"u={user}&n=1"
        assert sorted(unquote(each.split("/")[2].partition("?")[0]) for each in arrived) == sorted(SAFE)
        assert "/users/100%2525/x-100%2525%2Fy?u=100%2525&n=1" in arrived
        assert "/users/a%20b%2Bc/x-a%20b%2Bc%2Fy?u=a%20b%2Bc&n=1" in arrived


async def test_dots_are_harmless_beside_other_characters_and_in_a_query() -> None:
    async with receiver() as hook:
        arrived, dead = await paths(hook, "/x/u-${user_id}?u=${user_id}", ["..", "%2e"])
        assert (sorted(arrived), dead) == (["/x/u-%252e?u=%252e", "/x/u-..?u=.."], [])
    async with receiver() as hook:
        arrived, dead = await paths(hook, "/x?u=${user_id}", ["../a;b\0"])
        assert (arrived, dead) == (["/x?u=..%2Fa%3Bb%00"], [])


async def test_an_empty_value_does_not_take_a_part_of_the_path_away() -> None:
    target = {"variables": {"nick": {"property": "nick"}}}
    async with receiver() as hook:
        text = webhook(f"http://127.0.0.1:{hook.port}/users/${{nick}}/x", **target)
        async with lab(text) as made:
            await made.deliver([message(transition("u1", 1))])
            ((_, code, reason),) = made.buried
            assert (code, "is empty, from nick" in reason) == ("unsafe_path", True)
            assert not hook.requests


async def test_the_literal_part_arrives_as_it_is_written_whatever_the_data() -> None:
    async with receiver() as hook:
        url = "/a%2Fb%20c/$x;p=1/(d)?q=%41+b&r[]=1&e="
        arrived, _ = await paths(hook, url + "${user_id}", ["u1", "%", "%41"])
        assert sorted(arrived) == sorted(url + each for each in ("u1", "%25", "%2541"))
    async with receiver() as hook:
        arrived, _ = await paths(hook, "/a?r[]=1&e=${user_id}", ["u1", "%"])
        assert sorted(arrived) == ["/a?r[]=1&e=%25", "/a?r[]=1&e=u1"]


@pytest.mark.parametrize(
    ("url", "origin", "place"),
    [
        ("HTTPS://Crm.Example.:443/a", "https://crm.example", "crm.example:443"),
        ("https://bücher.example:8443", "https://xn--bcher-kva.example:8443", "xn--bcher-kva.example:8443"),
        ("http://[::1]:80/", "http://[::1]", "[::1]:80"),
        ("http://x?a=1", "http://x", "x:80"),
    ],
)
def test_an_address_has_one_form(url: str, origin: str, place: str) -> None:
    made = UrlTemplate.parse(url)
    assert (made.origin, str(made.endpoint)) == (origin, place)
    assert made.fill(lambda _: None).startswith(origin + "/")

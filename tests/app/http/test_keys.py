"""Who gets in: keys of the settings, a file and the topic; scopes, projects; strangers learn nothing."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.registry.api_keys import KeyRecord, encode_key
from agents.registry.api_keys_topic import UNUSABLE
from app.failures import CommandFailed
from app.http.api_keys import FILE_UNUSABLE
from tests.app.http.lab import USER, Lab, api_key, ask, digest, lab, status, talk
from tests.stage.workers import until


async def test_a_key_is_taken_in_either_header_and_nothing_else_is() -> None:
    async with lab(api_keys=[api_key("good", "lookup")]) as made:
        assert await status(made, api_key="good") == 200
        assert await status(made, Authorization="Bearer good") == 200
        assert await status(made, Authorization="bearer  good") == 200
        for headers in (
            {},
            {"api_key": ""},
            {"api_key": "bad"},
            {"Authorization": "good"},
            {"Authorization": "Basic good"},
            {"api_key": "bad", "Authorization": "Bearer good"},
            {"x_turnstile_forwarded": "1"},
        ):
            assert await status(made, **headers) == 401, headers
        two = b"GET /v1/users/a HTTP/1.1\r\nHost: x\r\napi-key: good\r\napi-key: bad\r\n\r\n"
        assert b" 401 " in await talk(made.base.url, two, 0.3)


async def test_no_cache_between_answers_in_our_place() -> None:
    async with lab(api_keys=[api_key("good", "lookup")]) as made:
        for key in ("good", "bad"):
            assert b"\r\nCache-Control: no-store\r\n" in (await ask(made.base.url, api_key=key))[1]


async def test_an_answer_does_not_tell_whether_a_key_exists() -> None:
    async with lab(api_keys=[api_key("good", "lookup")]) as made:
        made.publish("revoked", "admin", revoked=True)
        made.publish("expired", "admin", expires_ms=1)
        answers = set()
        for key in ("", "unknown", "revoked", "expired"):
            code, answer = await ask(made.base.url, api_key=key)
            assert code == 401
            assert b'WWW-Authenticate: Bearer realm="turnstile"' in answer
            answers.add(answer.partition(b"\r\n\r\n")[2])
        assert len(answers) == 1


async def test_a_key_is_good_for_its_scopes_only() -> None:
    keys = [api_key(scope, scope) for scope in ("lookup", "audiences", "destinations", "admin")]
    async with lab(api_keys=keys) as made:
        for target, method, allowed in (
            (USER, "GET", {"lookup", "admin"}),
            ("/v1/destinations/a", "PUT", {"destinations", "admin"}),
            ("/metrics", "GET", {"admin"}),
            ("/readyz?verbose", "GET", {"admin"}),
        ):
            for key in ("lookup", "audiences", "destinations", "admin"):
                wanted = 200 if key in allowed else 403
                assert await status(made, target, method, api_key=key) == wanted, (target, key)
            assert await status(made, target, method) == 401


async def test_a_key_is_good_for_its_projects_only_and_old_ones_for_all() -> None:
    keys = [api_key("one", "admin", projects=["one"]), api_key("old", "admin")]
    async with lab(api_keys=keys) as made:
        assert await status(made, USER + "?project=one", api_key="one") == 200
        for project in ("two", "default", "*", "one/", "ONE", "", "one%20"):
            assert await status(made, f"{USER}?project={project}", api_key="one") == 403, project
            assert await status(made, f"{USER}?project={project}", api_key="old") == 200
        assert await status(made, USER, api_key="one") == 403
        assert await status(made, USER + "?project=one&project=two", api_key="one") == 400
        # All projects' names are in these.
        assert await status(made, "/metrics", api_key="one") == 403
        assert await status(made, "/readyz?verbose", api_key="one") == 403


async def test_no_id_reaches_into_another_project() -> None:
    """A row's key is ``NUL project NUL user``, and ``default``'s is the user alone."""
    async with lab(api_keys=[api_key("key", "lookup", projects=["default"])]) as made:
        assert await status(made, "/v1/users/%00other%00bob", api_key="key") == 400
        assert await status(made, USER + "?project=default%00", api_key="key") == 400


async def test_keys_of_the_topic_come_and_go_without_a_restart() -> None:
    async with lab(api_keys=[api_key("good", "lookup")]) as made:
        assert await status(made, api_key="new") == 401
        made.publish("new", "lookup")
        assert await status(made, api_key="new") == 200
        made.publish("new", "lookup", revoked=True)
        assert await status(made, api_key="new") == 401
        made.publish("new", "lookup")
        made.take(b"new", None, 9)
        assert await status(made, api_key="new") == 401


async def test_before_the_topic_is_read_nobody_gets_in_by_it_and_nothing_is_open() -> None:
    async with lab(loaded=False) as made:
        for headers in ({}, {"api_key": "any"}):
            assert await status(made, **headers) == 503
        assert await status(made, "/metrics") == 503
        assert await status(made, "/livez") == 200
        made.feed.loaded.set()
        assert await status(made) == 200
    async with lab(loaded=False, api_keys=[api_key("good", "lookup")]) as made:
        assert await status(made, api_key="good") == 200
        assert await status(made, api_key="other") == 503
        assert await status(made) == 401


async def test_the_first_key_closes_and_the_last_revocation_does_not_open() -> None:
    async with lab() as made:
        assert await status(made) == 200
        made.publish("first", "lookup")
        assert await status(made) == 401
        made.publish("first", "lookup", revoked=True)
        assert await status(made) == 401
        made.take(b"first", None, 9)
        assert await status(made) == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (None, b"{}"),
        (b"", b"{}"),
        (b"\xff", b"{}"),
        (b"k", b""),
        (b"k", b"\xff"),
        (b"k", b"[" * 100_000),
        (b"k", b'{"sha256":' * 50_000),
        (b"k", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        (b"k", b"null"),
        (b"k", b'{"sha256": "00", "scopes": ["lookup"], "projects": ["*"], "created_ms": 0}'),
        (b"k", b'{"sha256": "%s", "scopes": [], "projects": ["*"], "created_ms": 0}' % (b"0" * 64)),
        (b"k", b'{"sha256": "%s", "scopes": ["root"], "projects": ["*"], "created_ms": 0}' % (b"0" * 64)),
        (b"k", b'{"sha256": "%s", "scopes": ["lookup"], "created_ms": 0}' % (b"0" * 64)),
        (b"k", b'{"sha256": "%s", "scopes": ["lookup"], "projects": [], "created_ms": 0}' % (b"0" * 64)),
        (
            b"k",
            b'{"sha256": "%s", "scopes": ["lookup"], "projects": ["*"], "created_ms": 0, "only_from": "x"}'
            % (b"0" * 64),
        ),
    ],
)
async def test_a_record_that_cannot_be_used_is_a_warning_and_lets_nobody_in(
    name: bytes | None, value: bytes
) -> None:
    async with lab() as made:
        made.publish("k", "lookup")
        assert await status(made, api_key="k") == 200
        made.take(name, value, 7)
        assert [each.code for each in made.warnings.active()] == [UNUSABLE]
        assert await status(made, api_key="k") == (401 if name == b"k" else 200)
        made.publish("k", "lookup")
        assert await status(made, api_key="k") == 200
        if name == b"k":
            assert not made.warnings.active()


async def test_an_unusable_record_alone_closes() -> None:
    async with lab() as made:
        made.take(None, b"\xff", 0)
        assert await status(made) == 401


async def test_the_file_of_keys_is_followed_and_a_broken_one_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(json.dumps([api_key("a", "lookup")]))
    async with lab(api_keys_file=file) as made:
        following = asyncio.create_task(made.keys._watch_file())
        try:
            assert await status(made, api_key="a") == 200
            # As Kubernetes does it: another file takes the place.
            (tmp_path / "new").write_text(f"- {json.dumps(api_key('b', 'lookup'))}\n")
            os.replace(tmp_path / "new", file)
            await until(lambda: made.keys._find("b"), "the new key is known", 30)
            assert (await status(made, api_key="a"), await status(made, api_key="b")) == (401, 200)
            file.write_text("- {name: b, sha256: secret-in-the-wrong-place}")
            await until(lambda: made.warnings.active(), "the fault is noticed", 30)
            (warning,) = made.warnings.active()
            assert warning.code == FILE_UNUSABLE
            assert "scopes, sha256" in warning.text
            assert "secret-in" not in warning.text
            assert await status(made, api_key="b") == 401
            assert await status(made) == 401
            file.unlink()
            await asyncio.sleep(1.5)
            assert await status(made) == 401
            file.write_text(json.dumps([api_key("c", "lookup")]))
            await until(lambda: made.keys._find("c"), "it is right again", 30)
            assert not made.warnings.active()
        finally:
            following.cancel()


@pytest.mark.parametrize("text", ["", "{}", "keys: []", "- 5", "[", "a: b\n---\nc: d", "[" * 5000, "\xff"])
def test_a_process_does_not_start_on_a_file_that_holds_no_keys(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(CommandFailed, match=r"http\.api_keys_file"):
        Lab(api_keys_file=file)
    with pytest.raises(CommandFailed, match=r"http\.api_keys_file"):
        Lab(api_keys_file=tmp_path / "none")


async def test_a_rotated_key_is_good_until_its_time_is_over() -> None:
    async with lab() as made:
        record = KeyRecord(digest("first"), ("lookup",), ("*",), 0)
        now_ms = 1_790_000_000_000
        made.keys._wall_ms = lambda: now_ms
        for key, keep_ms in (("second", 60_000), ("third", 300)):
            record = record.rotate(digest(key), now_ms, keep_ms)
        made.take(b"rotated", encode_key(record), 0)
        for key in ("first", "second", "third"):
            assert await status(made, api_key=key) == 200, key
        assert digest("first") in made.keys.digests()
        now_ms += 301
        assert [await status(made, api_key=key) for key in ("first", "second", "third")] == [200, 401, 200]
        made.take(b"rotated", encode_key(replace(record, expires_ms=1)), 1)
        assert await status(made, api_key="first") == 401
        assert record.rotate(digest("fourth"), now_ms, 0).rotated == ()
        made.take(b"rotated", encode_key(replace(record, revoked=True)), 2)
        assert [await status(made, api_key=key) for key in ("first", "third")] == [401, 401]

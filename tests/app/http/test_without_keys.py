"""Where no key is asked for: only loopback is listened on, and pages of other sites change nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.failures import CommandFailed
from app.http.connections import FOR_ALL
from app.http.listen import HttpListener, ListenAddress
from app.settings.sources import SettingsInvalid
from app.settings.tree import load_settings
from tests.app.http.lab import Lab, api_key, ask, lab, status


async def test_that_anyone_may_do_all_is_told_only_where_it_is_so() -> None:
    for has_key in (False, True):
        made = Lab()
        made.feed.loaded.set()
        if has_key:
            made.publish("on the topic", "lookup")
        with capture_logs() as told:
            await made.base.start()
        await made.base.stop()
        assert [each["event"] for each in told].count("no_api_keys") == (not has_key)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "[::]", "0", "example.com", "127.0.0.1.example.com", "::ffff:127.0.0.1", "10.0.0.1"],
)
@pytest.mark.parametrize("section", ["HTTP", "DELIVER"])
def test_without_keys_only_loopback_is_listened_on(host: str, section: str) -> None:
    environ = {f"TURNSTILE_{section}__HOST": host}
    with pytest.raises(SettingsInvalid, match=f"{section.lower()}.host"):
        load_settings(environ=environ)
    with_key = {**environ, "TURNSTILE_HTTP__API_KEYS": json.dumps([api_key("k", "lookup")])}
    assert load_settings(environ=with_key)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_a_listener_looks_at_the_addresses_that_it_would_bind(host: str) -> None:
    """Whatever let the setting through."""
    made = Lab(host="127.0.0.1")
    listener = HttpListener(*_parts(made), ListenAddress(host, 0, "http"), FOR_ALL, made.warnings)
    with pytest.raises(CommandFailed, match=r"without API keys only this machine may|not known"):
        await listener.start(needs_loopback=True)


async def test_localhost_that_resolves_to_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(*_: object, **__: object) -> object:
        return [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("10.1.2.3", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", elsewhere)
    with pytest.raises(CommandFailed, match=r"'localhost', which is 127.0.0.1, 10.1.2.3"):
        async with lab(host="localhost"):
            pass


async def test_a_file_without_keys_does_not_open_other_addresses(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text("[]")
    with pytest.raises(CommandFailed, match="without API keys only this machine may connect"):
        async with lab(host="0.0.0.0", api_keys_file=file):
            pass


def _parts(made: Lab) -> tuple[object, object]:
    from aiohttp import web

    return web.Application(), made.base


def test_the_setting_that_opened_everything_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "turnstile.yaml"
    file.write_text("http: {host: 0.0.0.0, allow_open: true}\n")
    for given, environ in ((file, {}), (None, {"TURNSTILE_HTTP__ALLOW_OPEN": "false"})):
        with pytest.raises(SettingsInvalid) as caught:
            load_settings(given, environ)
        assert "was removed" in str(caught.value)
        assert "turnstile keys create" in str(caught.value)


async def test_a_taken_port_is_one_plain_line() -> None:
    async with lab() as first:
        port = int(first.base.url.rsplit(":", 1)[1])
        with pytest.raises(CommandFailed) as caught:
            async with lab(port=port):
                pass
        assert str(caught.value) == (
            f"http.port = {port}: another process listens on 127.0.0.1:{port}. Stop it, or choose another "
            "port (TURNSTILE_HTTP__PORT); 0 takes any free one"
        )
        with pytest.raises(CommandFailed, match=r"http\.probe_port"):
            async with lab(probe_port=port):
                pass


async def test_where_no_key_is_asked_for_the_host_must_be_loopback() -> None:
    async with lab() as made:
        for host in ("127.0.0.1", "127.9.9.9:1", "localhost", "LOCALHOST:80", "[::1]", "[::1]:6066"):
            assert await status(made, Host=host) == 200, host
        for host in (
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.com@127.0.0.1",
            "127.0.0.1@evil.com",
            "127.0.0.1:80:evil",
            "[::1].evil.com",
            "0.0.0.0",
            "[::]",
            "127.1",
            "2130706433",
            "",
        ):
            assert await status(made, Host=host) in (400, 403), host
            if host != "":
                assert (await ask(made.base.probe_url, "/metrics", Host=host))[0] in (400, 403), host
        assert await status(made, "http://evil.com/v1/users/ann", Host="127.0.0.1") == 403
    async with lab(api_keys=[api_key("k", "lookup")]) as made:
        assert await status(made, Host="turnstile.example.com", api_key="k") == 200


async def test_pages_of_other_sites_change_nothing() -> None:
    async with lab() as made:
        own = made.base.url
        put = "/v1/destinations/a"
        assert await status(made, put, "PUT") == 200
        assert await status(made, put, "PUT", Origin=own) == 200
        for headers in (
            {"Origin": "http://evil.com"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            assert await status(made, put, "PUT", **headers) == 403, headers

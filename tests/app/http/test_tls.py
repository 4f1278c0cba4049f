"""TLS of our HTTP, on real sockets: who is answered, what is followed, what is refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientSession

from agents.deliver.content.users import LookupFailed, Users
from agents.warnings import Warnings
from app.failures import CommandFailed
from app.http.connections import Room
from app.http.tls import UNUSABLE, Trust
from app.settings.tree import SettingsInvalid, load_settings
from app.worker_client import WorkerClient
from tests.app.http.lab import Lab, api_key, lab, port_of, talk
from tests.certificates import Authority

KEY = api_key("k", "lookup")


def tls(folder: Path, authority: Authority) -> dict[str, object]:
    cert, key = authority.issue(folder, "127.0.0.1", "localhost")
    return {"tls_cert_file": cert, "tls_key_file": key, "tls_ca_file": authority.file, "api_keys": [KEY]}


async def status_of(url: str, trust: Trust) -> int:
    """Of a lookup by a new connection. Raises ClientConnectorError."""
    async with (
        ClientSession() as session,
        session.get(url + "/v1/users/ann", headers={"api-key": "k"}, ssl=trust()) as answer,
    ):
        return answer.status


async def shown(made: Lab) -> bytes:
    """The certificate that a new connection sees, with a name asked for or without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(made.base.url), ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(found, bytes)
    return found


async def test_the_main_port_speaks_tls_only_and_probes_need_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with lab(**tls(tmp_path, authority)) as made:
        assert made.base.url.startswith("https://")
        assert await status_of(made.base.url, Trust(authority.file)) == 200
        assert b"200" not in await talk(made.base.url, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 1)
        assert made.base.probe_url.startswith("http://")
        close = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b"200 OK" in await talk(made.base.probe_url, close)


async def test_only_those_are_trusted_for_whom_the_authority_vouches(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with lab(**tls(tmp_path, authority)) as made:
        for trust in (Trust(None), Trust(other.file), Trust(tmp_path / "missing")):
            with pytest.raises(ClientConnectorError):
                await status_of(made.base.url, trust)


async def test_a_name_that_the_certificate_does_not_have_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = tls(tmp_path, authority)
    authority.issue(tmp_path, "elsewhere.example")
    async with lab(**files) as made:
        with pytest.raises(ClientConnectorError):
            await status_of(made.base.url, Trust(authority.file))


async def test_a_renewed_authority_is_trusted_without_a_restart(tmp_path: Path) -> None:
    authority, renewed = Authority(tmp_path), Authority(tmp_path, "renewed")
    trust = Trust(authority.file)
    async with lab(**tls(tmp_path, authority)) as made:
        assert await status_of(made.base.url, trust) == 200
        renewed.issue(tmp_path, "127.0.0.1")
        with pytest.raises(ClientConnectorError):
            await status_of(made.base.url, trust)
        authority.file.write_bytes(renewed.pem)
        assert await status_of(made.base.url, trust) == 200


async def test_an_authority_that_cannot_be_read_is_noted_and_the_old_one_trusted(
    tmp_path: Path,
) -> None:
    authority, warnings = Authority(tmp_path), Warnings()
    trust = Trust(authority.file, warnings)
    async with lab(**tls(tmp_path, authority)) as made:
        assert await status_of(made.base.url, trust) == 200
        for spoil in (lambda: authority.file.write_text("none"), authority.file.unlink):
            spoil()
            assert await status_of(made.base.url, trust) == 200
            (noted,) = warnings.active()
            assert "http.tls_ca_file" in noted.text
        authority.file.write_bytes(authority.pem)
        assert await status_of(made.base.url, trust) == 200
        assert warnings.active() == []


async def test_a_renewed_certificate_is_shown_from_the_next_connection_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with lab(**tls(tmp_path, authority)) as made:
        before = await shown(made)
        assert await shown(made) == before
        authority.issue(tmp_path, "127.0.0.1")
        assert await shown(made) != before
        assert await status_of(made.base.url, Trust(authority.file)) == 200


async def test_a_certificate_that_cannot_be_used_is_noted_and_the_one_before_goes_on(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = tls(tmp_path, authority)
    async with lab(**files) as made:
        before = await shown(made)
        cert = tmp_path / "tls.crt"
        away = cert.rename(tmp_path / "away")
        assert await shown(made) == before
        assert [each.code for each in made.warnings.active()] == [UNUSABLE]
        away.rename(cert)
        assert await shown(made) == before
        assert made.warnings.active() == []
        good = cert.read_bytes()
        for spoil in (lambda: cert.write_text("no certificate"), cert.unlink):
            spoil()
            assert await shown(made) == before
            (noted,) = made.warnings.active()
            assert noted.code == UNUSABLE
            assert "http.tls_cert_file" in noted.text
        cert.write_bytes(good)
        authority.issue(tmp_path, "127.0.0.1")
        assert await shown(made) != before
        assert made.warnings.active() == []


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_half_handshakes_hold_no_place_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.base.FOR_ALL", Room(8, 1))
    authority = Authority(tmp_path)
    async with lab(**tls(tmp_path, authority)) as made:
        held = [socket.create_connection(("127.0.0.1", port_of(made.base.url))) for _ in range(40)]
        try:
            held[-1].send(b"\x16\x03\x01")
            assert await status_of(made.base.url, Trust(authority.file)) == 200
            assert sum(is_closed(each) for each in held) >= 30
        finally:
            for each in held:
                each.close()
        for _ in range(100):
            if not len(made.base._main._connections):  # type: ignore[union-attr]
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("connections that are gone are still counted")


async def test_lookups_of_deliverers_and_commands_check_the_certificate(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with lab(**tls(tmp_path, authority)) as made:
        good, bad = (Users(made.base.url, "k", Trust(each.file)) for each in (authority, other))
        try:
            assert not isinstance((await good.get_all("default", ["ann"]))["ann"], LookupFailed)
            assert isinstance((await bad.get_all("default", ["ann"]))["ann"], LookupFailed)
        finally:
            await good.close()
            await bad.close()
        client = WorkerClient(made.base.url, "k", "default", authority.file)
        assert await asyncio.to_thread(client.get, "users", "ann") == {"user_id": "ann"}
        with pytest.raises(CommandFailed, match="certificate"):
            await asyncio.to_thread(WorkerClient(made.base.url, "k", "default").get, "users", "ann")


def refused(**http: object) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ={f"TURNSTILE_HTTP__{key.upper()}": str(value) for key, value in http.items()})
    return str(caught.value)


def test_files_that_cannot_be_used_are_refused_with_the_reason(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue(tmp_path, "localhost")
    assert "http.tls_cert_file = " in refused(tls_cert_file=cert)
    assert "needs http.tls_key_file" in refused(tls_cert_file=cert)
    assert "needs http.tls_cert_file" in refused(tls_key_file=key)
    assert "there is no such file" in refused(tls_cert_file=tmp_path / "x", tls_key_file=key)
    assert "can't be used with http.tls_key_file" in refused(tls_cert_file=cert, tls_key_file=cert)
    assert "http.tls_ca_file" in refused(tls_ca_file=key)
    (tmp_path / "other").mkdir()
    _, foreign = Authority(tmp_path, "other").issue(tmp_path / "other", "localhost")
    assert "can't be used with http.tls_key_file" in refused(tls_cert_file=cert, tls_key_file=foreign)

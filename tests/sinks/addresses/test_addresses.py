"""Which addresses are of the public internet: each entry of the registries, its first and last address."""

from __future__ import annotations

import asyncio
import json
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from agents.sinks.addresses.guard import is_public, why_not
from agents.sinks.addresses.special import CLOUD, EMBEDDING, SPECIAL
from tests.stage.delivery import transition
from tests.stage.delivery_engine import DeliveryLab, message
from tests.stage.receiver import receiver
from tests.stage.workers import until

PRIVATE = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.1.2.3",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "100.100.100.200",
    "100.96.0.96",
    "::",
    "::1",
    "::7f00:1",
    "::808:808",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff::808:808",
    "64:ff9b:2::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:808:808::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "3fff:fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "8000::1",
    "1::1",
    "200::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.1",
    "192.31.196.1",
    "192.167.1.1",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2620:4f:8000::1",
    "2a00::1",
    "3ffe::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("entry", [*SPECIAL, *CLOUD], ids=lambda entry: str(entry[0]))
def test_each_entry_is_refused_from_its_first_to_its_last_address_with_its_name(entry: tuple) -> None:  # type: ignore[type-arg]
    network, name, source = entry
    for address in (network[0], network[-1]):
        assert not is_public(str(address))
        assert name in str(why_not(str(address))) or any(address in other for other, _, _ in CLOUD + SPECIAL)
        if isinstance(address, IPv4Address):
            for inside, shift, _ in EMBEDDING:
                carrier = IPv6Address(int(inside[0]) | int(address) << shift)
                assert not is_public(str(carrier)), carrier
    assert source


@pytest.mark.parametrize("entry", CLOUD, ids=lambda entry: str(entry[0]))
def test_what_clouds_give_credentials_from_is_refused_even_where_private_addresses_are_not(
    entry: tuple,  # type: ignore[type-arg]
) -> None:
    address = str(entry[0][0])
    assert "never allowed" in str(why_not(address, allow_private=True))
    if ip_address(address).version == 4:
        for prefix in ("::ffff:", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:8::", "::ffff:0:", "::"):
            assert why_not(f"{prefix}{address}", allow_private=True) is not None, prefix


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "169.254.1.1", "8.8.8.8"])
def test_private_addresses_may_be_allowed(address: str) -> None:
    assert why_not(address, allow_private=True) is None


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["127.0.0.1", "::1"], ["169.254.169.254", "10.0.0.1"]])
async def test_the_address_that_is_dialled_is_checked_whatever_the_name_and_the_proxy(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when it is looked at, and leads elsewhere when it is dialled."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def rebound(host: object, port: object, **more: object) -> object:
        if host != "rebind.example":
            return await real(host, port, **more)  # type: ignore[arg-type]
        return [
            (
                socket.AF_INET6 if ":" in each else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (each, port, 0, 0) if ":" in each else (each, port),
            )
            for each in answers
        ]

    monkeypatch.setattr(loop, "getaddrinfo", rebound)
    async with receiver() as hook:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{hook.port}")
        url = f"http://rebind.example:{hook.port}/"
        text = json.dumps({"name": "a", "kind": "webhook", "webhook": {"url": url}})
        made = DeliveryLab(text, allow_private=False)
        await made.engine.open()
        assert await made.engine.put([message(transition("u1", 1))])
        await until(lambda: made.engine.report.last_error or hook.requests, "it is refused", 10)
        await made.engine.close()
        assert "address_not_allowed" in str(made.engine.report.last_error)
        assert not hook.requests

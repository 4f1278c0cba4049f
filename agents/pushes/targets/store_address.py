"""Where an object store's client connects to: only to addresses that were checked.

obstore resolves names by itself, follows redirects, and can't be given a socket or a resolver. Its proxy can
be chosen, though, and a proxy is dialled by its address:

- ``http://``: the store itself, at the address that was checked, is the "proxy". Servers have to take the
  absolute form of a request's target (RFC 9112, 3.2.2). So no name is resolved again, and a redirect ends at
  the same server.
- ``https://``: whoever answers must have a certificate for the endpoint's name, so a name that leads
  elsewhere by now gets no request. What isn't at the endpoint's name goes to a proxy that isn't there:
  redirects to other hosts fail.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from yarl import URL

from agents.connections.connection import AZURE_ACCOUNT, REGION
from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.places import ObjectStorePlace
from agents.sinks.addresses.guard import AddressNotAllowed, check_address

DEFAULT_REGION: Final = "us-east-1"
NOWHERE: Final = "http://127.0.0.1:1"
"""No proxy is there."""


def endpoint_of(place: ObjectStorePlace) -> str | None:
    """The URL that is connected to; None: the one that the cloud's client knows by itself."""
    if place.scheme != "s3":
        return place.endpoint
    if place.endpoint is not None:
        scheme, _, host = place.endpoint.partition("://")
        return place.endpoint if place.path_style else f"{scheme}://{place.bucket}.{host}"
    region = place.region or DEFAULT_REGION
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{domain}"


def check_names(place: ObjectStorePlace) -> None:
    """Raises TargetRefused for an account or a region that would make another host's name of the cloud's."""
    if place.scheme == "s3" and place.region is not None and REGION.fullmatch(place.region) is None:
        raise TargetRefused("the region isn't one: 1 to 64 letters, digits or hyphens")
    if place.scheme == "az" and AZURE_ACCOUNT.fullmatch(place.key_id or "") is None:
        raise TargetRefused("the storage account isn't one: 3 to 24 lower-case letters and digits")


async def checked_addresses(endpoint: str, allow_private: bool) -> tuple[str, ...]:
    """The addresses of an endpoint, all of which may be connected to; at least one.

    Raises TargetRefused where one may not, TargetUnavailable where its name has none.
    """
    url = _url(endpoint)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port)
    except OSError as error:
        raise TargetUnavailable(f"the endpoint's host {url.host} has no address: {error}") from None
    addresses = tuple(dict.fromkeys(str(where[0]) for *_, where in found))
    for each in addresses:
        try:
            check_address(each, allow_private)
        except AddressNotAllowed as error:
            raise TargetRefused(str(error)) from None
    return addresses


def client_options(place: ObjectStorePlace, address: str | None) -> dict[str, Any]:
    """obstore's options of connections. ``address``: the checked one; None: no endpoint is known."""
    endpoint = endpoint_of(place)
    if endpoint is None or address is None:
        return {}
    url = _url(endpoint)
    if url.scheme == "http":
        host = f"[{address}]" if ":" in address else address
        return {"allow_http": True, "proxy_url": f"http://{host}:{url.port}"}
    if place.endpoint is None or place.key is None:
        return {}  # a cloud's own, which may send us on; or keys are fetched from elsewhere
    return {"proxy_url": NOWHERE, "proxy_excludes": str(url.host)}


def _url(endpoint: str) -> URL:
    """Raises TargetRefused."""
    try:
        url = URL(endpoint)
    except ValueError:
        url = URL()
    if url.host is None or url.scheme not in ("http", "https"):
        raise TargetRefused("the endpoint isn't an address that begins with http:// or https://")
    return url

"""The settings of what listens on HTTP, the worker and the delivery worker, and of the keys to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import SecretStr

from agents.api_keys import EVERY_PROJECT, Scope
from app.http_address import may_be_loopback
from app.setting_values import BaseUrl, JsonList, Section, Sha256, Text, Whole, setting, whole


class ApiKey(Section):
    """Who may use the HTTP interface."""

    name: Text = setting(..., "text", "Whose key it is.")
    sha256: Sha256 = setting(
        ..., "64 hexadecimal digits (SHA-256 of the key)", "The key's hash.", secret=True, repr=False
    )
    scopes: tuple[Scope, ...] = setting(
        ..., "a list of lookup, audiences, destinations, admin", "What the key is good for.", min_length=1
    )
    projects: tuple[Text, ...] = setting(
        (EVERY_PROJECT,),
        'a list of projects, or ["*"] for all',
        "Whose data it may see and change; by default all projects'.",
        min_length=1,
    )


class HttpSettings(Section):
    """The HTTP interface: lookups, definitions, probes, metrics."""

    host: Text = setting("127.0.0.1", "a host name or an IP address", "Address to listen on.")
    port: Whole = whole(6066, 0, 65_535, "Port to listen on; 0: any free one.")
    probe_port: Whole = whole(
        6068, 0, 65_535, "Port of /livez, /readyz and /metrics alone, which need no key; 0: any free one."
    )
    advertised_url: BaseUrl | None = setting(
        None, "http://host:port", "Where other workers reach this one; by default http://<host>:<port>."
    )
    api_keys: Annotated[tuple[ApiKey, ...], JsonList] = setting(
        (),
        "a list of {name, sha256, scopes, projects} (JSON in a variable)",
        "The keys that are good, besides those of `turnstile keys`.",
        secret=True,
    )
    api_keys_file: Path | None = setting(
        None, "the path of a file in YAML or JSON", "More keys, a list like http.api_keys; followed."
    )

    @property
    def is_loopback(self) -> bool:
        """Nobody outside this machine gets through."""
        return may_be_loopback(self.host)


class DeliverSettings(Section):
    """Delivery workers (``turnstile deliver``). Their HTTP interface takes http.api_keys, too."""

    host: Text = setting("127.0.0.1", "a host name or an IP address", "Address to listen on.")
    port: Whole = whole(6067, 0, 65_535, "Port to listen on; 0: any free one.")
    probe_port: Whole = whole(
        6069, 0, 65_535, "Port of /livez, /readyz and /metrics alone, which need no key; 0: any free one."
    )
    lookup_url: BaseUrl = setting(
        "http://127.0.0.1:6066",
        "http://host:port",
        "A worker that is asked for attributes and identities, where a destination sends them.",
    )
    lookup_key: SecretStr | None = setting(
        None,
        "text",
        "The key for it, with the scope lookup; `deliver status` needs destinations, too.",
        secret=True,
    )
    allow_private: bool = setting(
        False, "true or false", "Whether webhooks may go to loopback, private and link-local addresses."
    )
    in_flight: Whole = whole(
        10_000, 1, 1_000_000, "Messages in hand per destination, before its reading stops."
    )

    @property
    def is_loopback(self) -> bool:
        """Nobody outside this machine gets through."""
        return may_be_loopback(self.host)

"""The settings of what listens on HTTP, and of the keys to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from agents.registry.api_keys import EVERY_PROJECT, Scope
from app.settings.allowance import Allowance
from app.settings.listener import ListenerSettings, port, probe_port
from app.settings.values import BaseUrl, JsonList, Section, Sha256, Text, Whole, setting


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
        "Projects whose data the key may see and change; by default all.",
        min_length=1,
    )


class HttpSettings(ListenerSettings):
    """The HTTP interface: lookups, definitions, probes, metrics."""

    port: Whole = port(6066)
    probe_port: Whole = probe_port(6068)
    advertised_url: BaseUrl | None = setting(
        None, "http://host:port", "Where other workers reach this one; by default http://<host>:<port>."
    )
    api_keys: Annotated[tuple[ApiKey, ...], JsonList] = setting(
        (),
        "a list of {name, sha256, scopes, projects} (JSON in a variable)",
        "Keys that are good, besides the keys that `turnstile keys` made.",
        secret=True,
    )
    api_keys_file: Path | None = setting(
        None, "the path of a file in YAML or JSON", "More keys, a list like http.api_keys; followed."
    )
    rate_limit: Whole | None = setting(
        None,
        "a whole number from 1 to 1000000",
        "Requests a second that each key may make of one process; by default they aren't counted.",
        ge=1,
        le=1_000_000,
    )
    rate_burst: Whole | None = setting(
        None,
        "a whole number from 1 to 10000000",
        "Requests that a key may make at once after a pause; by default those of one second.",
        ge=1,
        le=10_000_000,
    )
    tls_cert_file: Path | None = setting(
        None,
        "the path of a file in PEM form",
        "Certificate and those between it and its authority: http.port and deliver.port then speak only TLS.",
    )
    tls_key_file: Path | None = setting(
        None, "the path of a file in PEM form", "The certificate's key, without a password."
    )
    tls_ca_file: Path | None = setting(
        None,
        "the path of a file in PEM form",
        "Certificates that vouch for our other processes (https); by default the system's.",
    )

    @property
    def allowance(self) -> Allowance | None:
        """Of each key; None: requests aren't counted."""
        if self.rate_limit is None:
            return None
        return Allowance(self.rate_limit, self.rate_burst or self.rate_limit)

    @property
    def scheme(self) -> str:
        """Of http.port and deliver.port."""
        return "http" if self.tls_cert_file is None else "https"


def rate_disagreements(http: HttpSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with limits of requests: the names (the one to blame first), the text."""
    if http.rate_burst is not None and http.rate_limit is None:
        yield ("http.rate_burst", "http.rate_limit"), "needs http.rate_limit, too"


def tls_disagreements(http: HttpSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the files of TLS: the names of settings (the one to blame first), the text."""
    cert, key, ca = http.tls_cert_file, http.tls_key_file, http.tls_ca_file
    missing = [
        (n, f) for n, f in (("cert", cert), ("key", key), ("ca", ca)) if f is not None and not f.exists()
    ]
    for each, _ in missing:
        yield (f"http.tls_{each}_file",), "there is no such file"
    if missing:
        return
    if cert is not None and key is not None:
        from app.certificates import serving_context

        try:
            serving_context(cert, key)
        except OSError as error:
            message = f"can't be used with http.tls_key_file: {error}"
            yield ("http.tls_cert_file", "http.tls_key_file"), message
    elif cert is not None:
        yield ("http.tls_cert_file", "http.tls_key_file"), "needs http.tls_key_file, too"
    elif key is not None:
        yield ("http.tls_key_file", "http.tls_cert_file"), "needs http.tls_cert_file, too"
    if ca is not None:
        import ssl

        try:
            ssl.create_default_context(cafile=ca)
        except OSError as error:
            yield ("http.tls_ca_file",), f"can't be used: {error}"

"""The settings of delivery: where it listens, and what destinations may reach and be given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from agents.deliver.definitions.hosts import HOST_PATTERNS, HostPattern
from agents.deliver.secrets.secrets import Declared, is_own_variable
from agents.registry.api_keys import EVERY_PROJECT
from app.settings.listener import ListenerSettings, port, probe_port
from app.settings.values import BaseUrl, JsonList, Section, Text, Whole, setting, text_list, whole

SECRETS: Final = "a list of {name, source, hosts, projects} (JSON in a variable)"
_MONTH_SECONDS: Final = 31 * 86_400
_SECRET_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        HostPattern.parse(each)  # raises ValueError
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("none")
    return value


def _secret_name(value: str) -> str:
    if _SECRET_NAME.fullmatch(value) is None:
        raise ValueError("not a name")
    return value


def _variable(value: str) -> str:
    if _VARIABLE.fullmatch(value) is None or is_own_variable(value):
        raise ValueError("not a variable, or one of our own settings")
    return value


Hosts = Annotated[tuple[str, ...], BeforeValidator(text_list), AfterValidator(_hosts)]


class SecretSource(Section):
    """Where a secret is: a variable or a file."""

    env: Annotated[str, AfterValidator(_variable)] | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _is_one(self) -> SecretSource:
        if (self.env is None) is (self.file is None):
            raise ValueError("one of the two")
        return self


class SecretSettings(Section):
    """A secret that destinations may name, and where it may be sent to."""

    name: Annotated[str, AfterValidator(_secret_name)] = setting(
        ..., "1 to 100 of A-Z a-z 0-9 . _ -", "What destinations call it: {secret: NAME}."
    )
    source: SecretSource = setting(
        ...,
        "{env: VARIABLE}, none of TURNSTILE_..., or {file: PATH}, inside of deliver.secrets_dir",
        "Where it is.",
    )
    hosts: Annotated[Hosts, AfterValidator(_some)] = setting(
        ..., f"a list of {HOST_PATTERNS}", "The hosts that it may be sent to."
    )
    projects: Annotated[tuple[Text, ...], BeforeValidator(text_list)] = setting(
        (EVERY_PROJECT,),
        'a list of projects, or ["*"] for all',
        "Whose destinations may name it; by default all projects'.",
        min_length=1,
    )


class DeliverSettings(ListenerSettings):
    """Delivery workers (``turnstile deliver``). Their HTTP interface takes http.api_keys, too."""

    port: Whole = port(6067)
    probe_port: Whole = probe_port(6069)
    lookup_url: BaseUrl = setting(
        "http://127.0.0.1:6066",
        "http://host:port",
        "A worker that is asked for attributes and identities, if a destination sends them.",
    )
    lookup_key: SecretStr | None = setting(
        None,
        "text",
        "API key for deliver.lookup_url: scope lookup; for `deliver status` also destinations.",
        secret=True,
    )
    secrets: Annotated[tuple[SecretSettings, ...], JsonList] = setting(
        (), SECRETS, "The secrets that destinations may name, each with the hosts it may be sent to."
    )
    secrets_dir: Path | None = setting(
        None, "the path of a directory", "The only folder that files with secrets are read from."
    )
    eventhub_hosts: Hosts = setting(
        (), f"a list of {HOST_PATTERNS}", "Where event hubs may be beside Azure's own addresses."
    )
    writable_sources: Annotated[tuple[Text, ...], BeforeValidator(text_list)] = setting(
        (),
        "a list of topics",
        "Topics of topics.events that Kafka destinations may write to; never our other topics.",
    )
    allow_private: bool = setting(
        False,
        "true or false",
        "Whether webhooks and Kafka destinations may be at loopback, private and link-local addresses.",
    )
    notices_stalled_seconds: Whole = whole(
        3_600,
        1,
        _MONTH_SECONDS,
        "After so long (seconds) without progress an audience that isn't ready counts as failed, as does a "
        "compute instant that some partition hasn't computed: clients get a notice.",
    )
    in_flight: Whole = whole(
        10_000, 1, 1_000_000, "Messages in hand per destination, before its reading stops."
    )

    @property
    def declared_secrets(self) -> dict[str, Declared]:
        """By name."""
        return {
            each.name: Declared(
                each.name,
                tuple(map(HostPattern.parse, each.hosts)),
                each.source.env,
                None if each.source.file is None else Path(each.source.file),
                None if EVERY_PROJECT in each.projects else frozenset(each.projects),
            )
            for each in self.secrets
        }

    @property
    def eventhub_patterns(self) -> tuple[HostPattern, ...]:
        """``eventhub_hosts``, read."""
        return tuple(map(HostPattern.parse, self.eventhub_hosts))


def disagreements(deliver: DeliverSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with them only beside one another: the names (the one to blame first), the text."""
    names = [each.name for each in deliver.secrets]
    if len(set(names)) < len(names):
        yield ("deliver.secrets",), "two secrets have one name"
    files = [each.name for each in deliver.secrets if each.source.file is not None]
    if files and deliver.secrets_dir is None:
        message = f"{', '.join(files)}: files are read from deliver.secrets_dir only, which isn't set"
        yield ("deliver.secrets", "deliver.secrets_dir"), message

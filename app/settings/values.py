"""The kinds of values that settings have; each knows in words what it allows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field
from pydantic.config import JsonDict

from rules.parse.values import NAME

HOUR_MS: Final = 3_600_000
UNITS: Final = ("GiB", "MiB", "KiB")

_SIZE = re.compile(r"\d{1,15} ?(B|KiB|MiB|GiB)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class Section(BaseModel):
    """A part of the tree of settings: never changed, and closed to names that it doesn't have."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def setting(default: Any, allowed: str, description: str, *, secret: bool = False, **more: Any) -> Any:
    """A field of the settings. ``allowed`` completes "must be ..."; a secret's value is never shown.

    A ``default`` that can be called makes the default.
    """
    extra: JsonDict = {"allowed": allowed, "secret": secret}
    given: dict[str, Any] = {"default_factory" if callable(default) else "default": default}
    return Field(description=description, json_schema_extra=extra, **given, **more)


def whole(default: int, low: int, high: int, description: str) -> Any:
    """A whole number from ``low`` to ``high``."""
    return setting(default, f"a whole number from {low} to {high}", description, ge=low, le=high)


def size(default: int, low: int, high: int, description: str) -> Any:
    """A number of bytes from ``low`` to ``high``, also written with a unit: ``256MiB``."""
    allowed = (
        f"bytes, such as 1048576, 512KiB, 256MiB or 2GiB, from {format_size(low)} to {format_size(high)}"
    )
    return setting(default, allowed, description, ge=low, le=high)


def _plain_size(value: object) -> object:
    """What of the many ways to write a ``ByteSize`` is taken: no fractions, and no units that mean 1000 to
    some and 1024 to others. Raises ValueError."""
    if isinstance(value, str) and _SIZE.fullmatch(value.strip()) is None:
        raise ValueError("not a size")
    return _no_bool(value)


def format_size(number_bytes: int) -> str:
    """In the largest unit that divides it: ``256MiB``; plain bytes have none."""
    for unit in UNITS:
        found = ByteSize(number_bytes).to(unit)
        if number_bytes and found.is_integer():
            return f"{found:.0f}{unit}"
    return str(number_bytes)


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


def text_list(value: object) -> object:
    """A list given as text, as in an environment variable: JSON, or its items separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [item.strip() for item in value.split(",")]


def _json_list(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def _name_up_to(length: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > length or _NAME.fullmatch(value) is None or value in (".", ".."):
            raise ValueError("not a name of Kafka's")
        return value

    return check


def _topics(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        _name_up_to(245)(name)
    if not value or len(set(value)) < len(value):
        raise ValueError("none, or one given twice")
    return value


def _history(value: tuple[str, ...]) -> tuple[str, ...]:
    return _topics(value) if value else ()


def _timezones(value: tuple[str, ...]) -> tuple[str, ...]:
    from rules.parse.audience import is_timezone  # only here: cron, which it needs, is slow to import

    pairs = [each.partition("=") for each in value]
    if not all(re.fullmatch(NAME, project) and is_timezone(zone) for project, _, zone in pairs):
        raise ValueError("not a project and a time zone")
    if len({project for project, _, _ in pairs}) < len(pairs):
        raise ValueError("a project given twice")
    return value


def _bootstrap(value: str) -> str:
    addresses = [address.strip() for address in value.split(",")]
    for address in addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match[1]) < 65536:
            raise ValueError("not host:port")
    return ",".join(addresses)


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("not a base address")
    port = parts.port  # raises ValueError for one that is no port
    if parts.path.strip("/") or parts.query or parts.fragment or port == 0:
        raise ValueError("more than a base address")
    return value.rstrip("/")


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    is_http = parts.scheme in ("http", "https") and parts.hostname
    # ``port`` raises ValueError for one that is no port.
    if not is_http or parts.username is not None or parts.fragment or parts.port == 0 or not value.isascii():
        raise ValueError("not an address")
    return value


def _digest(value: str) -> str:
    if _SHA256.fullmatch(value) is None:
        raise ValueError("not a digest")
    return value.lower()


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    return value


Whole = Annotated[int, BeforeValidator(_no_bool)]
Size = Annotated[ByteSize, BeforeValidator(_plain_size)]
Text = Annotated[str, AfterValidator(_filled)]
KafkaName = Annotated[str, AfterValidator(_name_up_to(200))]
TopicNames = Annotated[tuple[str, ...], BeforeValidator(text_list), AfterValidator(_topics)]
HistoryNames = Annotated[tuple[str, ...], BeforeValidator(text_list), AfterValidator(_history)]
Timezones = Annotated[tuple[str, ...], BeforeValidator(text_list), AfterValidator(_timezones)]
Bootstrap = Annotated[str, AfterValidator(_bootstrap)]
BaseUrl = Annotated[str, AfterValidator(_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Sha256 = Annotated[str, AfterValidator(_digest)]
JsonList = BeforeValidator(_json_list)

KAFKA_NAME = "1 to 200 of A-Z a-z 0-9 . _ -"
TIMEZONES = "PROJECT=ZONE, one for each project, with names of the IANA database: default=Asia/Shanghai"
TOPIC_NAMES = "one or more different topic names, each 1 to 245 of A-Z a-z 0-9 . _ -"
HISTORY_NAMES = "any number of different topic names, each 1 to 245 of A-Z a-z 0-9 . _ -"

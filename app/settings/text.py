"""The settings as YAML for people to read; what it prints (but for masks) is a settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr

from app.settings.sources import MASK, is_secret
from app.settings.tree import LoadedSettings
from app.settings.values import format_size

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9._/+-]*(?::[A-Za-z0-9/._-]+)*", re.ASCII)
NONE: Mapping[str, str] = {}
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def as_yaml(loaded: LoadedSettings, remarks: Mapping[str, str] = NONE) -> str:
    """The effective tree; each line ends with where its value comes from, and with its remark, if any
    (by full name)."""
    return "".join(f"{line}\n" for line in _lines(loaded, remarks))


def _lines(loaded: LoadedSettings, remarks: Mapping[str, str]) -> Iterator[str]:
    for section_name in type(loaded.settings).model_fields:
        section: BaseModel = getattr(loaded.settings, section_name)
        yield f"{section_name}:"
        for key in type(section).model_fields:
            name = f"{section_name}.{key}"
            given, remark = loaded.given.get(name), remarks.get(name)
            value = scalar(masked(getattr(section, key)), is_size=key.endswith("bytes"))
            origin = given.origin if given else "default"
            yield f"  {key}: {value}  # {origin}{'' if remark is None else f'; {remark}'}"


def masked(value: object) -> object:
    """A value as JSON has it, with secrets masked."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            key: MASK if is_secret(field) else masked(getattr(value, key)) for key, field in fields.items()
        }
    if isinstance(value, tuple):
        return [masked(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def scalar(value: object, *, is_size: bool = False) -> str:
    """As YAML writes it on one line."""
    if is_size and isinstance(value, int):
        return format_size(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)

"""Where settings come from, and how what is wrong with them is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rules.parse.document import Node, plain
from rules.parse.text import parse_text
from rules.parse.values import describe

PREFIX: Final = "TURNSTILE_"
FILE_VARIABLE: Final = "TURNSTILE_SETTINGS_FILE"
MASK: Final = "**********"

REMOVED: Final = {
    "http.allow_open": "was removed, because it let everybody in who could connect. Take it out, and give "
    "keys (http.api_keys or http.api_keys_file; `turnstile keys create --no-topic` makes one), or listen on "
    "127.0.0.1"
}
"""Settings that there were once: what to do instead."""

_OTHER_VARIABLES: Final = re.compile(r"TURNSTILE_(SETTINGS_FILE|CACHE|TEST_.*)", re.ASCII)
_SERVICE_LINK: Final = re.compile(r"TURNSTILE_([A-Z0-9]+_)*(PORT|SERVICE)(_[A-Z0-9]+)*", re.ASCII)
_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class GivenSetting:
    """A setting's value as a source has it. ``origin`` is for people: a variable, or a place in a file."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class WrongSetting:
    """One mistake. ``shown`` is the value as it may be shown; None: there is none."""

    name: str
    given: GivenSetting | None
    message: str
    shown: str | None = None

    def __str__(self) -> str:
        value = f" = {self.shown}" if self.shown is not None else ""
        origin = f" ({self.given.origin})" if self.given and self.given.origin != self.name else ""
        return f"{self.name}{value}{origin}: {self.message}"


class SettingsInvalid(Exception):
    """Settings that can't be used; the text names each, its value, and what is allowed."""

    def __init__(self, wrong: Iterable[WrongSetting]) -> None:
        self.wrong = sorted(wrong, key=lambda each: each.name)
        count = len(self.wrong)
        head = "1 setting can't be used:" if count == 1 else f"{count} settings can't be used:"
        super().__init__("\n".join([head, *(f"  {each}" for each in self.wrong)]))


Tree = TypeVar("Tree", bound=BaseModel)


def leaves(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting below ``model`` with its full name."""
    for key, field in model.model_fields.items():
        name = f"{path}.{key}" if path else key
        section = section_of(field)
        if section is None:
            yield name, field
        else:
            yield from leaves(section, name)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section; None: the field is a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def variable(name: str) -> str:
    """``kafka.bootstrap`` as ``TURNSTILE_KAFKA__BOOTSTRAP``."""
    return PREFIX + name.upper().replace(".", "__")


def is_secret(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def allowed(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("allowed", "")) if isinstance(extra, dict) else ""


def read_sources(
    model: type[BaseModel], file: Path | None, environ: Mapping[str, str]
) -> tuple[dict[str, GivenSetting], list[WrongSetting]]:
    """What is given, by full name, the environment over the file; and what names no setting."""
    wrong: list[WrongSetting] = []
    given: dict[str, GivenSetting] = {}
    if file is not None:
        _read_file(model, file, given, wrong)
    names = {variable(name): name for name, _ in leaves(model)}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or _OTHER_VARIABLES.fullmatch(key):
            continue
        if key not in names:
            wrong.append(WrongSetting(key, None, _unknown_variable(key, names)))
        elif value:
            given[names[key]] = GivenSetting(value, key)
    return given, wrong


def _unknown_variable(key: str, names: Iterable[str]) -> str:
    for name, told in REMOVED.items():
        if key == variable(name):
            return told
    near = get_close_matches(key, names, n=1, cutoff=0.85)
    # Every service has SERVICE_HOST, which is near to serve.host.
    if _SERVICE_LINK.fullmatch(key) and (not near or key.endswith("SERVICE_HOST")):
        return "no setting; Kubernetes makes it for a service of that name: set enableServiceLinks to false"
    return "no setting" + _nearest(key.upper(), names, "")


def _nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else otherwise


def _read_file(
    model: type[BaseModel], file: Path, given: dict[str, GivenSetting], wrong: list[WrongSetting]
) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        wrong.append(WrongSetting(str(file), None, f"the settings file can't be read: {error.strerror}"))
        return
    except UnicodeDecodeError:
        wrong.append(WrongSetting(str(file), None, "the settings file isn't UTF-8"))
        return
    documents, problems = parse_text(text, str(file))
    for problem in problems:
        place = f"{problem.file}:{problem.line}:{problem.column}"
        wrong.append(WrongSetting(place, None, problem.message))
    if len(documents) > 1:
        wrong.append(WrongSetting(str(file), None, "the settings file has more than one YAML document"))
    for document in documents[:1]:
        _read_section(model, document, "", str(file), given, wrong)


def _read_section(
    model: type[BaseModel],
    node: Node,
    path: str,
    file: str,
    given: dict[str, GivenSetting],
    wrong: list[WrongSetting],
) -> None:
    entries = node.value
    if entries is None:
        return
    if not isinstance(entries, Mapping):
        here = GivenSetting(None, f"{file}:{node.line}:{node.column}")
        wrong.append(
            WrongSetting(path or "settings", here, f"must be a map of settings, not {describe(node)}")
        )
        return
    for key, entry in entries.items():
        name = f"{path}.{key}" if path else key
        field = model.model_fields.get(key)
        if field is None:
            here = GivenSetting(None, f"{file}:{entry.line}:{entry.column}")
            wrong.append(WrongSetting(name, here, _unknown_key(model, name, path)))
            continue
        section = section_of(field)
        if section is not None:
            _read_section(section, entry.node, name, file, given, wrong)
        else:
            origin = f"{file}:{entry.node.line}:{entry.node.column}"
            given[name] = GivenSetting(plain(entry.node), origin)


def _unknown_key(model: type[BaseModel], name: str, path: str) -> str:
    if name in REMOVED:
        return REMOVED[name]
    siblings = [f"{path}.{key}" if path else key for key in model.model_fields]
    return "no setting" + _nearest(name, siblings, f"; allowed here: {', '.join(model.model_fields)}")


def validate(model: type[Tree], given: Mapping[str, GivenSetting]) -> tuple[Tree, list[WrongSetting]]:
    """The tree, with defaults in the place of settings that are wrong, and those."""
    try:
        return model.model_validate(_nested(given)), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    fields = dict(leaves(model))
    wrong: dict[str, WrongSetting] = {}
    faulty: set[str] = set()
    for each in errors:
        place = each["loc"]
        name = ".".join(str(part) for part in place[:2])
        if name not in given:
            continue  # a default that is made from another setting, which is wrong itself
        faulty.add(name)
        found = _wrong(name, fields[name], place[2:], each, given[name])
        wrong.setdefault(found.name, found)
    right = {name: value for name, value in given.items() if name not in faulty}
    return model.model_validate(_nested(right)), list(wrong.values())


def _wrong(
    name: str, field: FieldInfo, inside: tuple[int | str, ...], error: ErrorDetails, given: GivenSetting
) -> WrongSetting:
    """A fault of a setting, or of something ``inside`` the items that it lists."""
    item = _item_of(field)
    if item is None or len(inside) < 2:
        return WrongSetting(name, given, f"must be {allowed(field)}", show(field, given.value))
    key = str(inside[1])
    name = f"{name}[{inside[0]}].{key}"
    if key not in item.model_fields:
        return WrongSetting(name, given, "no setting" + _nearest(key, item.model_fields, ""))
    field = item.model_fields[key]
    if error["type"] == "missing":
        return WrongSetting(name, given, f"is missing: must be {allowed(field)}")
    return WrongSetting(name, given, f"must be {allowed(field)}", show(field, error["input"]))


def _item_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the items of a setting that is a list of such."""
    arguments = getattr(field.annotation, "__args__", ())
    first = arguments[0] if arguments else None
    return first if isinstance(first, type) and issubclass(first, BaseModel) else None


def show(field: FieldInfo, value: object) -> str:
    """A value in a message: no secret, and not too long."""
    if is_secret(field):
        return MASK
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _nested(given: Mapping[str, GivenSetting]) -> dict[str, dict[str, object]]:
    tree: dict[str, dict[str, object]] = {}
    for name, each in given.items():
        section, key = name.split(".")
        tree.setdefault(section, {})[key] = each.value
    return tree

"""The tables of ``docs/settings.md``, made from the tree of settings that the program itself works by."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings.sources import allowed, is_secret, section_of
from app.settings.text import masked, scalar
from app.settings.tree import Settings

PAGE: Final = Path(__file__).with_name("settings.md")
BEGIN, END = "<!-- settings -->\n", "\n<!-- end -->"


def tables() -> str:
    """A heading and a table for each section, in the order of the tree, and for the entries of lists."""
    return "\n".join(line for name, field in Settings.model_fields.items() for line in _section(name, field))


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    section = section_of(field)
    assert section is not None, f"{name} is no section"
    yield from _table(f"## {name}", section, name)
    for key, each in section.model_fields.items():
        entry = _entry(each.annotation)
        if entry is not None:
            yield from _table(f"### An entry of {name}.{key}", entry, None)


def _table(heading: str, section: type[BaseModel], path: str | None) -> Iterator[str]:
    yield from (heading, "", _sentence(section), "", "| setting | default | allowed | |", "|---|---|---|---|")
    for key, field in section.model_fields.items():
        name = f"{path}.{key}" if path else key
        about = f"{field.description}{' Secret.' if is_secret(field) else ''}"
        yield f"| `{name}` | {_default(key, field)} | {_cell(allowed(field))} | {_cell(about)} |"
    yield ""


def _sentence(section: type[BaseModel]) -> str:
    return " ".join(inspect.cleandoc(section.__doc__ or "").replace("``", "`").split())


def _default(key: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return ""  # the description says what it depends on
    if field.default is PydanticUndefined:
        return "must be given"
    if field.default is None:
        return "none"
    return f"`{scalar(masked(field.default), is_size=key.endswith('bytes'))}`"


def _cell(text: str) -> str:
    """As a cell of a table: ``<`` and ``|`` would be read as markup."""
    return re.sub(r"[|<>]", lambda found: f"\\{found[0]}", text)


def _entry(annotation: object) -> type[BaseModel] | None:
    """The model of the entries of a setting that is a list of such."""
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def generated() -> Iterator[tuple[Path, str]]:
    """The page, and what it should hold."""
    before = PAGE.read_text(encoding="utf-8")
    head, _, rest = before.partition(BEGIN)
    yield PAGE, head + BEGIN + "\n" + tables() + END + rest.partition(END)[2]

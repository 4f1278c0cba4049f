"""Audiences as YAML for people, and how two of them differ."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from rules.model.language import Audience
from rules.write.audience import to_document

_UNSAID: Final[Mapping[str, object]] = {"description": "", "labels": [], "type": "realtime"}
"""Keys of the head that a definition needn't have, with what they are then."""
_ONE_LINE_CHARACTERS: Final = 90
_CONTEXT_LINES: Final = 3


def to_yaml(audience: Audience) -> str:
    """The definition as an author would write it; it parses to an equal audience.

    Keys of the head that say what holds anyway are left out; the time zone is there, because it may come from
    the settings of the project. What a terminal would obey is escaped.
    """
    document = to_document(audience)
    head = {key: value for key, value in document.items() if key not in _UNSAID or value != _UNSAID[key]}
    stream = StringIO()
    yaml = YAML()
    yaml.width = 1 << 30  # a folded line is hard to compare
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(CommentedMap((key, _laid_out(value)) for key, value in head.items()), stream)
    return "".join(
        each if each.isprintable() or each == "\n" else _escaped(each) for each in stream.getvalue()
    )


def difference(before: Audience, after: Audience) -> list[str]:
    """The lines of both definitions that differ, after ``- `` and ``+ ``, with the lines around them after
    two spaces, and ``...`` where lines are left out between. Empty where an author would write the same.
    """
    lines = (to_yaml(before).splitlines(), to_yaml(after).splitlines())
    found: list[str] = []
    for line in list(difflib.unified_diff(*lines, n=_CONTEXT_LINES, lineterm=""))[2:]:
        if not line.startswith("@@"):
            found.append(f"{line[0]} {line[1:]}")
        elif found:
            found.append("  ...")
    return found


def _laid_out(value: Any, depth: int = 0) -> Any:
    """Lists and maps of nothing but scalars go on one line where they are short, the rule itself never."""
    if isinstance(value, Mapping):
        made = CommentedMap((_laid_out(key), _laid_out(each, depth + 1)) for key, each in value.items())
        if depth and _is_short(value, list(value.values())):
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        listed = CommentedSeq(_laid_out(each, depth + 1) for each in value)
        if _is_short(value, value):
            listed.fa.set_flow_style()
        return listed
    if isinstance(value, str) and not value.isprintable():
        return DoubleQuotedScalarString(value)  # where an escape has its meaning
    return value


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "replace").decode()


def _is_short(whole: object, parts: list[Any]) -> bool:
    return (
        not any(isinstance(each, Mapping | list) and each for each in parts)
        and len(repr(whole)) <= _ONE_LINE_CHARACTERS
    )

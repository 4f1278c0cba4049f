"""Paths of a mapping: where in a JSON value something stands.

``customer.id`` goes into objects; a name that has dots itself is found, because at each object the longest
prefix that is a key wins. ``lines[0].sku`` is of the first line, ``lines[].sku`` the list of all.
``.`` is the whole value.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

MISSING: Final = object()
MOST_CHARS: Final = 512
_STEP = re.compile(r"([^\[\]]*)((?:\[\d{0,9}\])*)", re.ASCII)
_INDEX = re.compile(r"\[(\d*)\]", re.ASCII)

Step: TypeAlias = tuple[str, ...] | int | None
"""The parts of dotted names that lie in one another, an index, or (None) every element."""
Path: TypeAlias = tuple[Step, ...]


class PathInvalid(ValueError):
    """It is no path; the text says why."""


def parse_path(text: str) -> Path:
    """Raises PathInvalid."""
    if text == ".":
        return ()
    if not text or len(text) > MOST_CHARS:
        raise PathInvalid(f"a path has 1 to {MOST_CHARS} characters")
    steps: list[Step] = []
    names: list[str] = []
    for part in text.split("."):
        match = _STEP.fullmatch(part)
        if match is None or not match[1]:
            raise PathInvalid(
                f"'{text}' is no path: write names with dots between them, such as lines[0].sku"
            )
        names.append(match[1])
        if match[2]:
            steps.append(tuple(names))
            names = []
            steps += [int(each) if each else None for each in _INDEX.findall(match[2])]
    return (*steps, tuple(names)) if names else tuple(steps)


def find(value: Any, path: Path) -> Any:
    """What stands there, or MISSING; of a path with ``[]`` the list of what is there."""
    for at, step in enumerate(path):
        if step is None:
            if not isinstance(value, list):
                return MISSING
            found = [find(each, path[at + 1 :]) for each in value]
            return [each for each in found if each is not MISSING]
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else MISSING
        else:
            value = _in_objects(value, step)
        if value is MISSING:
            return MISSING
    return value


def replaced(value: Any, path: Path, by: object) -> Any:
    """A copy of a value with something else at a path where ``find`` finds something (without ``[]``)."""
    if not path:
        return by
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [*value[:step], replaced(value[step], rest, by), *value[step + 1 :]]
    assert step is not None
    for end in range(len(step), 0, -1):
        name = ".".join(step[:end])
        if name in value:
            inner = (step[end:], *rest) if end < len(step) else rest
            return {**value, name: replaced(value[name], inner, by)}
    return value


def _in_objects(value: Any, names: tuple[str, ...]) -> Any:
    while names:
        if not isinstance(value, dict):
            return MISSING
        for end in range(len(names), 0, -1):
            name = names[0] if end == 1 else ".".join(names[:end])
            if name in value:
                value, names = value[name], names[end:]
                break
        else:
            return MISSING
    return value

"""Attributes that came from a system aren't pushed back to it (requirement: labels synced from there)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from agents.pushes.contract.push import Content


def pushed_back(content: Content, origins: Mapping[str, str], system: str) -> tuple[str, ...]:
    """The attributes of a content that came from the system that it goes to.

    ``origins``: the system that each attribute came from, by the attribute's name. A part of an attribute
    came from where the attribute did; an attribute goes along with all of its parts.
    """
    return tuple(
        ".".join(each.path) for each in content.attributes if system in _origins_of(each.path, origins)
    )


def _origins_of(path: tuple[str, ...], origins: Mapping[str, str]) -> Iterator[str]:
    names = (".".join(path[:size]) for size in range(len(path), 0, -1))
    yield from (origins[name] for name in islice((name for name in names if name in origins), 1))
    parts = ".".join(path) + "."
    yield from (system for name, system in origins.items() if name.startswith(parts))

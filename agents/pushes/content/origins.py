"""Attributes that came from a system aren't pushed back to it (requirement: labels synced from there)."""

from __future__ import annotations

from collections.abc import Mapping

from agents.pushes.contract.push import Content


def pushed_back(content: Content, origins: Mapping[str, str], system: str) -> tuple[str, ...]:
    """The attributes of a content that came from the system that it goes to.

    ``origins``: the system that each attribute came from, by the attribute's name; a part of an attribute
    came from where the attribute did.
    """
    return tuple(
        ".".join(each.path) for each in content.attributes if _origin_of(each.path, origins) == system
    )


def _origin_of(path: tuple[str, ...], origins: Mapping[str, str]) -> str | None:
    names = (".".join(path[:size]) for size in range(len(path), 0, -1))
    return next((origins[name] for name in names if name in origins), None)

"""What is the same for every change of a definition that has a name, decided over what is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from agents.registry.audit import audit_record
from agents.registry.definitions import (
    Definition,
    DefinitionChange,
    Definitions,
    Published,
    definition_record,
)
from agents.registry.writer import Change
from app.publish.author import Author
from app.publish.refused import NotPublished, VersionMoved
from rules.parse.problems import name_hint

Defined = TypeVar("Defined", bound=Definition)
Changes = Sequence[DefinitionChange[Defined]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def publication(
    registry: Definitions[Defined],
    wanted: Sequence[Defined],
    author: Author,
    expected: Collection[int] | None = None,
    generations: dict[str, int] | None = None,
) -> Change[Changes[Defined]]:
    """Publish definitions; others stay as they are.

    ``expected``: the versions of which one must be there of each; None: any. Raises VersionMoved.
    """
    for each in wanted:
        expect(registry, each.key, expected)
    at_ms = now_ms()
    changes = registry.plan(wanted, at_ms, generations)
    return _change(registry, changes, author, at_ms)


def deletion(
    registry: Definitions[Defined],
    found: Sequence[Published[Defined]],
    author: Author,
    expected: Collection[int] | None = None,
) -> Change[Changes[Defined]]:
    """Delete definitions. Raises VersionMoved."""
    for each in found:
        expect(registry, each.definition.key, expected)
    changes = [DefinitionChange(each.gone(), "deleted") for each in found]
    return _change(registry, changes, author, now_ms())


def _change(
    registry: Definitions[Defined], changes: Changes[Defined], author: Author, at_ms: int
) -> Change[Changes[Defined]]:
    records, told = [], []
    for each in changes:
        if each.action == "unchanged":
            continue
        definition, version = each.published.definition, each.published.version
        records.append(definition_record(each.published))
        audit = author.told(
            registry.kind, definition.name, each.action, at_ms, project=definition.project, version=version
        )
        told.append(audit_record(audit))
    return Change(changes, records, told)


def expect(registry: Definitions[Any], key: str, expected: Collection[int] | None) -> None:
    """``expected``: the versions of which one must be there, 0 for none. Raises VersionMoved."""
    if expected is None:
        return
    found = registry.find(key)
    version = 0 if found is None else found.version
    if version not in expected:
        there = f"version {version} is there now" if found is not None else "there is none now"
        raise VersionMoved(f"{registry.kind} '{key}' was changed meanwhile: {there}", version)


def present(
    registry: Definitions[Defined],
    name: str,
    project: str | None = None,
    is_seen: Callable[[Defined], bool] = lambda _: True,
) -> Published[Defined]:
    """One that isn't deleted. Raises NotPublished: there is none, or the caller may not see it."""
    there = {
        each.definition.name: each
        for each in registry.live()
        if project in (None, each.definition.project) and is_seen(each.definition)
    }
    if name in there:
        return there[name]
    where = "" if project is None else f" in project '{project}'"
    hint = name_hint(name, there) if there else "none is published"
    title = f"No such {registry.kind}"
    raise NotPublished(f"there is no {registry.kind} '{name}'{where}", hint, title)

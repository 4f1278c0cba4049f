"""No module imports itself by way of others, and no folder: whoever reads one can stop at what it imports.

Imports within functions and for types alone count, too: they are what a reader must know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = ("rules", "tables", "agents", "app", "bench")

Graph = Mapping[str, set[str]]


@cache
def imports() -> Graph:
    """What each module imports of our own."""
    graph = grimp.build_graph(*PACKAGES)
    return {each: graph.find_modules_directly_imported_by(each) for each in graph.modules}


def circle_in(graph: Graph) -> list[str]:
    """One circle, each beside what imports it; none: an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def siblings(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """Per package, which of its members, folders or modules, import which others."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importer, imported in graph.items():
        for other in imported:
            mine, theirs = importer.split("."), other.split(".")
            depth = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
            if depth:  # they differ below a common package
                package = ".".join(mine[:depth])
                found[package][".".join(mine[: depth + 1])].add(".".join(theirs[: depth + 1]))
    yield from found.items()


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert not circle_in(imports())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_imports_itself_by_way_of_its_neighbours(package: str) -> None:
    circles = {
        parent: circle
        for parent, members in siblings(imports())
        if parent.split(".")[0] == package and (circle := circle_in(members))
    }
    assert not circles


def test_circles_are_found() -> None:
    assert circle_in({"a.x": {"b.y"}, "b.y": {"a.x"}})
    assert not circle_in({"a.x": {"b.y"}, "b.z": {"a.x"}})
    folders = dict(siblings({"p.a.x": {"p.b.y"}, "p.b.z": {"p.a.w"}}))
    assert circle_in(folders["p"])

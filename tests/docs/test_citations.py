"""What texts and code cite is there: pages, files, folders, headings, functions and classes."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT

PAGE = re.compile(r"(?<![\w./-])(docs/[\w/-]+\.md)(?:, sections? (\d+))?")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([\w-]+))?\)")
PATH = re.compile(r"`((?:agents|app|bench|docs|helm|rules|tables|tests)/[\w./-]+)`")
SYMBOL = re.compile(r"\[`([A-Za-z_][\w.]*)`\]\(([^)\s#]+\.py)\)")
"""A link to a function, method or class, under its name."""
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / each for each in listed.stdout.splitlines() if (ROOT / each).is_file()]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)
    return set(plain)


def missing_pages() -> Iterator[str]:
    for file in tracked("*.py", "*.md"):
        for page, section in PAGE.findall(file.read_text()):
            if not (ROOT / page).is_file():
                yield f"{file.relative_to(ROOT)} cites {page}, which isn't there"
            elif section and not re.search(rf"^## {section}\. ", (ROOT / page).read_text(), re.MULTILINE):
                yield f"{file.relative_to(ROOT)} cites section {section} of {page}, which isn't there"


def missing_links() -> Iterator[str]:
    for file in tracked("*.md"):
        text = FENCE.sub("", file.read_text())
        for target, heading in LINK.findall(text):
            found = (file.parent / target) if target else file
            if not found.exists():
                yield f"{file.relative_to(ROOT)} links to {target}, which isn't there"
            elif heading and heading not in anchors(found):
                yield f"{file.relative_to(ROOT)} links to {target}#{heading}, a heading that isn't there"
        if file.name == "CHANGELOG.md" or "decisions" in file.parts:
            continue  # they tell how things were
        for path in PATH.findall(text):
            if not (ROOT / path).exists():
                yield f"{file.relative_to(ROOT)} names {path}, which isn't there"


def defined_in(file: Path) -> set[str]:
    """Functions and classes of a module, and those in its classes as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inside = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{each.name}" for each in inside}
    return found


def missing_symbols() -> Iterator[str]:
    for page in tracked("*.md"):
        for name, target in SYMBOL.findall(page.read_text()):
            file = page.parent / target
            if file.is_file() and name not in defined_in(file):
                yield f"{page.relative_to(ROOT)} links to {name}, which {target} doesn't define"


def test_pages_that_code_and_texts_cite_are_there() -> None:
    assert list(missing_pages()) == []


def test_what_pages_link_to_is_there() -> None:
    assert list(missing_links()) == []


def test_architecture_names_every_room_of_the_house() -> None:
    rooms = {
        str(file.relative_to(ROOT).parent)
        for package in ("rules", "tables", "agents", "app", "bench")
        for file in (ROOT / package).glob("*/__init__.py")
    }
    page = (ROOT / "docs/architecture.md").read_text()
    assert rooms <= set(re.findall(r"^\| `(\w+/\w+)` \|", page, re.MULTILINE))
    drawn = re.findall(r"monospace\">(\w+)<", (ROOT / "docs/pictures/house.svg").read_text())
    assert {each.partition("/")[2] for each in rooms if not each.startswith("bench")} <= set(drawn)


def test_architecture_names_every_room_of_the_core() -> None:
    rooms = {str(file.relative_to(ROOT).parent) for file in (ROOT / "core/src").glob("*/mod.rs")}
    page = (ROOT / "docs/architecture.md").read_text()
    assert rooms == set(re.findall(r"^\| `(core/src/\w+)` \|", page, re.MULTILINE))


def test_the_tour_names_the_core_s_file_in_each_step_that_the_core_does() -> None:
    steps = re.split(r"^\d+\. ", (ROOT / "docs/tour.md").read_text(), flags=re.MULTILINE)[1:]
    by_python_alone = {2, 3, 11}  # to the task, a commit cycle begins, writing in order
    with_core = {
        number for number, step in enumerate(steps, 1) if re.search(r"\*Core:\*.*core/src/", step, re.DOTALL)
    }
    assert with_core == set(range(1, len(steps) + 1)) - by_python_alone


def test_functions_that_pages_link_to_are_there() -> None:
    assert list(missing_symbols()) == []


def test_the_tour_links_to_a_function_in_each_of_its_steps() -> None:
    steps = re.split(r"^\d+\. ", (ROOT / "docs/tour.md").read_text(), flags=re.MULTILINE)[1:]
    assert 1 < len(steps) <= 12
    assert [each for each in steps if not SYMBOL.search(each)] == []

"""What texts and code cite is there: pages, files, folders, and headings that links go to."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT

PAGE = re.compile(r"(?<![\w./-])(docs/[\w/-]+\.md)(?:, sections? (\d+))?")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([\w-]+))?\)")
PATH = re.compile(r"`((?:agents|app|bench|docs|helm|rules|tables|tests)/[\w./-]+)`")
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


def test_pages_that_code_and_texts_cite_are_there() -> None:
    assert list(missing_pages()) == []


def test_what_pages_link_to_is_there() -> None:
    assert list(missing_links()) == []

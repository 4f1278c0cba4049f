"""Names in the code keep to the glossary: a word that it tells not to say is in none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "glossary.md"
PACKAGES = ("rules", "tables", "agents", "app", "bench")
HEADING = "## Words that the code doesn't use"
CODE = re.compile(r"`([^`]+)`")
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Avoided:
    """A row of the table. ``fine`` are longer phrases that may be in a name, ``folders`` may use the word."""

    words: Words
    fine: tuple[Words, ...] = ()
    folders: tuple[str, ...] = ()

    def is_in(self, name: str, file: str) -> bool:
        spoken = words_of(name)
        if self.words[0] not in spoken:
            return False
        for phrase in self.fine:
            spoken = without(spoken, phrase)
        return not file.startswith(self.folders) and without(spoken, self.words) != spoken


@cache
def words_of(name: str) -> Words:
    """``_DueTimers`` as due, timer."""
    return tuple(each.lower().removesuffix("s") for each in WORD.findall(name))


def without(words: Words, phrase: Words) -> Words:
    """The words with "|" in place of each phrase."""
    for start in range(len(words) - len(phrase) + 1):
        if words[start : start + len(phrase)] == phrase:
            return (*words[:start], "|", *without(words[start + len(phrase) :], phrase))
    return words


def avoided() -> Iterator[Avoided]:
    for row in PAGE.read_text().partition(HEADING)[2].splitlines():
        cells = [each.strip() for each in row.strip("|").split("|")]
        if not CODE.match(cells[0]):
            continue
        fine = CODE.findall(cells[3])
        phrases = tuple(words_of(each) for each in fine if " " in each)
        folders = tuple(each for each in fine if "/" in each)
        for each in CODE.findall(cells[0]):
            yield Avoided(words_of(each), phrases, folders)


def defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each name that a module gives to something itself, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno


def faults() -> Iterator[str]:
    rows = list(avoided())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = str(path.relative_to(ROOT))
            names = [(file.removesuffix(".py"), 1), *defined_names(ast.parse(path.read_text()))]
            for name, line in names:
                for row in rows:
                    if row.is_in(name, file):
                        yield f"{file}:{line} '{name}': the glossary avoids '{' '.join(row.words)}'"


def test_no_name_has_a_word_that_the_glossary_avoids() -> None:
    assert sorted(set(faults())) == []


def test_words_are_found_in_any_spelling_and_are_fine_where_the_page_says_so() -> None:
    row = Avoided(words_of("due index"), (words_of("due index of old"),), ("app/demo/",))
    for name in ("due_index", "_DUE_INDEX_MS", "TheDueIndex", "loadDueIndex", "a/due_index"):
        assert row.is_in(name, "app/main.py"), name
    for name in ("due", "index_due", "residue_index", "due_index_of_old"):
        assert not row.is_in(name, "app/main.py"), name
    assert not row.is_in("due_index", "app/demo/view.py")


def test_the_page_defines_each_term_once() -> None:
    terms = re.findall(r"^\| ([a-z][\w ]*) \| [A-Z`]", PAGE.read_text().partition(HEADING)[0], re.MULTILINE)
    assert len(terms) > 50
    assert sorted(terms) == sorted(set(terms))


def test_the_table_of_words_is_read() -> None:
    assert len(list(avoided())) >= 12
    assert Avoided(("marker",)) in list(avoided())

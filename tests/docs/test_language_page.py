"""The language reference: its tables are those of the parser, its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.simulate.case_report import report
from app.simulate.cases import load_cases, run_cases
from rules.parse.aggregate import AGGREGATES
from rules.parse.audience import KEYS
from rules.parse.definitions import check_together, parse_definitions
from rules.parse.rule import KINDS
from rules.parse.window import WINDOWS
from rules.predicates.operators import OPERATORS
from rules.warn.find import warnings_of
from rules.write import reference
from tests import ROOT

PAGE = (ROOT / "docs/language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CASES = [text for text in EXAMPLES if re.search(r"^cases:", text, re.MULTILINE)]
DEFINITIONS = [text for text in EXAMPLES if re.match(r"(id|audiences):", text) and text not in CASES]
RULES = [text for text in EXAMPLES if text not in CASES and text not in DEFINITIONS]


def label(text: str) -> str:
    found = re.search(r"id: (\w+)", text)
    return found[1] if found else text.splitlines()[0][:30]


def test_the_tables_are_those_of_the_parser() -> None:
    assert reference.fill(PAGE) == PAGE, "stale: run python docs/generate.py"
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE)) == set(reference.TABLES)
    with pytest.raises(reference.UnknownTable, match="no table 'operatos'"):
        reference.fill("<!-- table: operatos -->\n<!-- end -->")


def test_every_word_of_the_language_is_in_an_example() -> None:
    examples = "\n".join(EXAMPLES)
    for word in (
        *KEYS,
        *KINDS,
        *WINDOWS,
        "for",
        "still",
        "not_followed_by",
        "without",
        "total",
        "as",
        "ref",
        "points",
    ):
        assert re.search(rf"\b{word}:", examples), word
    for aggregate in {*AGGREGATES} - {"min", "max", "first", "since_first"}:  # like their neighbours
        assert re.search(rf"\b{aggregate}:", examples), aggregate


def test_the_page_has_examples_of_all_three_kinds() -> None:
    assert len(CASES) >= 10
    assert DEFINITIONS
    assert RULES


@pytest.mark.parametrize("text", DEFINITIONS, ids=label)
def test_definitions_on_the_page_have_no_fault(text: str) -> None:
    parsed, problems = parse_definitions(text, "language.md")
    assert problems + list(check_together(parsed)) == []
    assert [str(each) for each in warnings_of(parsed)] == []
    assert parsed


@pytest.mark.parametrize("text", RULES, ids=label)
def test_rules_on_the_page_have_no_fault(text: str) -> None:
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    _, problems = parse_definitions(f"id: x\nname: X\nrule:\n{indented}", "language.md")
    assert problems == []


@pytest.mark.parametrize("text", CASES, ids=label)
def test_examples_come_out_as_the_page_says(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    (ready,) = load_cases([file], 1000)
    told = [line for outcome in run_cases(ready) if not outcome.passed for line in report(outcome)]
    assert told == []


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    for link in re.findall(r"\]\(#([^)]*)\)", PAGE):
        assert link in anchors, link


def test_operators_are_all_in_the_table() -> None:
    for name in OPERATORS:
        assert f"| `{name}` |" in PAGE

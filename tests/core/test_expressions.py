"""Regular expressions: what the native core doesn't refuse is found where RE2 finds it."""

from __future__ import annotations

from random import Random

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from rules.predicates.operators import compile_pattern
from tests.core.asked import UnknownRule, testing
from tests.strategies.fuzzing import examples_of

ATOMS = [
    "a",
    "b",
    "K",
    "s",
    "é",
    "1",
    "_",
    " ",
    "-",
    "]",
    "}",
    "{",
    ",",
    r"\.",
    r"\-",
    r"\<",
    r"\{",
    r"\n",
    r"\t",
    r"\x41",
    r"\x{e9}",
    ".",
    "^",
    "$",
    r"\A",
    r"\z",
    r"\b",
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    "(?i)",
    "(?s)",
    "(?m)",
    "(?-i)",
    "(?U)",
    "&&",
    "~",
    "#",
    "/",
    "\n",
]
ITEMS = [
    "a",
    "k",
    "S",
    "z",
    "-",
    "]",
    "^",
    "[",
    "&&",
    "--",
    "~~",
    r"\d",
    r"\W",
    r"\s",
    r"\D",
    r"\]",
    r"\-",
    r"\n",
    "[:alpha:]",
    "[:^digit:]",
    "[:space:]",
    "[:word:]",
    "[:punct:]",
    "a-f",
    "0-9",
    "+--",
    "é",
    "a-é",
    r"\x41-z",
    ":",
    ",",
]
TIMES = ["", "", "", "*", "+", "?", "*?", "{2}", "{1,}", "{0,2}", "{,2}", "{a}", "{1", "{0}", "{2,1}"]
TEXT = [
    "a",
    "b",
    "A",
    "k",
    "K",
    "\u212a",
    "s",
    "ſ",
    "é",
    "É",
    "1",
    "_",
    " ",
    "\n",
    "-",
    "]",
    "}",
    "{",
    ",",
    "<",
    "[",
    "^",
    "&",
    "~",
    ".",
    "\t",
    "\x0b",
    "ß",
    "",
    ":",
    "z",
    "{,2}",
    "\U0001f389",
]
GROUPS = ["(", "(?:", "(?P<n>", "(?i:", "(?-i:", "(?s:", "(?m:", "(?im-s:"]


def pattern_of(dice: Random, depth: int = 2) -> str:
    parts = []
    for _ in range(dice.randint(0, 4)):
        kind = dice.random()
        if kind < 0.2 and depth:
            part = dice.choice(GROUPS) + pattern_of(dice, depth - 1) + ")"
        elif kind < 0.3:
            part = "|"
        elif kind < 0.5:
            members = "".join(dice.choice(ITEMS) for _ in range(dice.randint(1, 4)))
            part = f"[{dice.choice(['', '', '^'])}{members}]"
        else:
            part = dice.choice(ATOMS)
        parts.append(part + dice.choice(TIMES))
    return "".join(parts)


def texts_of(dice: Random) -> list[str]:
    return ["".join(dice.choice(TEXT) for _ in range(dice.randint(0, 6))) for _ in range(12)]


def hold_against_re2(pattern: str, texts: list[str]) -> None:
    try:
        found = compile_pattern(pattern)
    except re2.error:
        event("no RE2")
        return  # the parser refuses it
    try:
        native = testing.Pattern(pattern)
    except UnknownRule:
        event("refused")
        return
    event("compared")
    for text in texts:
        assert native.is_found_in(text) is found(text), (pattern, text)


@settings(max_examples=examples_of(1500), deadline=None)
@given(st.integers(0, 2**48))
def test_an_expression_is_found_where_re2_finds_it(seed: int) -> None:
    dice = Random(seed)
    hold_against_re2(pattern_of(dice), texts_of(dice))


@settings(max_examples=examples_of(500), deadline=None)
@given(
    st.text(st.sampled_from(r"ab\^$.|?*+()[]{}-,:<>0129PxiKs dwzAQEC&~é" + "\n"), max_size=12),
    st.integers(0, 2**48),
)
@example(r"\<a", 1)
@example("[a&&b]", 1)
@example("x{,2}", 1)
@example("(?i)[^k]", 1)
def test_nor_does_any_text_that_re2_takes_mean_something_else(pattern: str, seed: int) -> None:
    hold_against_re2(pattern, texts_of(Random(seed)))


@pytest.mark.parametrize(
    "pattern",
    [
        "^VIP",
        r"^[\w.+-]+@example\.com$",
        r"(?i)\bsale\b",
        r"^(?:news|blog)/\d{4}/",
        r"\.(?:jpe?g|png)$",
        "größe",
    ],
)
def test_expressions_as_people_write_them_need_no_python(pattern: str) -> None:
    testing.Pattern(pattern)

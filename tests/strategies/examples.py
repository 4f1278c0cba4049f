"""An example: definitions, and what happens under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.model import duration_ms
from tests.strategies.definitions import audiences
from tests.strategies.dice import drawn
from tests.strategies.domains import some_domain
from tests.strategies.histories import Happening, happening

Json = Any


@dataclass(frozen=True)
class Example:
    start_ms: int
    definitions: list[Json]
    history: list[Happening]
    created_ms: int
    """When the definitions were made."""
    dedupe_ms: int
    seed: int
    """Of batch sizes and the like."""


@st.composite
def examples(draw: st.DrawFn) -> Example:
    dice = drawn(draw)
    domain = some_domain(dice)
    definitions = audiences(dice, domain)
    history = [happening(number, domain) for number in draw(NUMBERS)]
    created_ms = domain.start_ms + dice.pick(domain.idles)
    dedupe_ms = duration_ms(dice.pick([*domain.durations, "1d"]))
    return Example(domain.start_ms, definitions, history, created_ms, dedupe_ms, dice.whole(0, 2**16))


NUMBERS = st.lists(st.integers(0, 2**30), min_size=12, max_size=48)


def record_body(kind: str, rest: tuple[Any, ...], at_ms: int, number: int) -> Json:
    if kind == "profile":
        return {"type": "profile", "id": f"r{number}", "user_id": rest[0]} | rest[2] | _identities(number)
    if kind == "delete":
        return {"type": "delete", "id": f"r{number}", "user_id": rest[0]}
    body = {"user_id": rest[0], "event": rest[2], "properties": rest[4]}
    body |= {"time": at_ms + rest[3]} if rest[3] else {}
    body |= _identities(number)
    record_id = f"r{number}" if rest[5] is None else rest[5]
    return body | ({"id": record_id} if record_id else {})


def _identities(number: int) -> Json:
    """Of some records: given, changed, taken back."""
    if number % 7 == 5:
        return {"identities": {"email": None}}
    if number % 3 == 0:
        return {"identities": {"email": f"{number % 2}@example.com", "ü": ""}}
    return {}

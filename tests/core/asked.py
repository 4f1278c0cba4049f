"""Questions to parts of the native core, written as it takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
import pytest

from rules.compile.spec import node
from rules.compile.tables import case_folds, zone_table

testing: Any = pytest.importorskip(
    "turnstile_core", reason="the native core isn't built: make core, with cargo"
).testing
UnknownRule: Any = pytest.importorskip("turnstile_core").UnknownRule


@cache
def tables(zone: str) -> bytes:
    """The tables of a rule set in one zone."""
    return msgspec.json.encode({"zones": {zone: zone_table(zone)}, "folds": case_folds()})


def packed(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def spec(predicate: Any) -> bytes:
    return msgspec.json.encode(node(predicate))


def native_predicate(predicate: Any, zone: str) -> Any:
    return testing.Predicate(spec(predicate), zone, tables(zone))


def native_attribute(predicate: Any, zone: str) -> Any:
    return testing.Attribute(spec(predicate), zone, tables(zone))


def items(instants: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return list(instants.items())

"""Engines for tests: the native core where it is built, otherwise what stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from agents.evaluate.native.core import CoreMissing, native_core
from agents.evaluate.native.engine import Engine
from rules.compile.rule_set import EMPTY, RuleSet
from rules.compile.spec import spec_of
from tests.core import stand_in


class _StandIn(Engine):
    def __init__(self) -> None:
        super().__init__("native", stand_in.stand_in)
        stand_in.Rules.known[spec_of(EMPTY)] = EMPTY

    def native_rules(self, rules: RuleSet) -> Any:
        stand_in.Rules.known[spec_of(rules)] = rules
        return super().native_rules(rules)


def is_built() -> bool:
    try:
        native_core()
    except CoreMissing:
        return False
    return True


def native_engine() -> Engine:
    return Engine("native") if is_built() else _StandIn()


def either(seed: int) -> Callable[[], Engine]:
    """At each start one of the two, by chance."""
    random = Random(seed)
    return lambda: native_engine() if random.random() < 0.6 else Engine()


def forgetful(seed: int) -> Callable[[], Engine]:
    """The native core, which knows the rules only now and then; in between Python computes on its rows."""
    random = Random(seed)

    def made() -> Engine:
        engine: Any = native_engine()
        known = engine.native_rules
        engine.native_rules = lambda rules: known(rules) if random.random() < 0.5 else None
        return engine

    return made

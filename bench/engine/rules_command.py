"""The command ``turnstile bench rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.options import Engine, Json
from bench.running import reporting

if TYPE_CHECKING:
    from bench.engine.show_rules import RulesRun
    from bench.report import Report


def rules(
    events: Annotated[int, typer.Option(min=1, help="Events a run.")] = 100_000,
    users: Annotated[int, typer.Option(min=1, help="Different users.")] = 2_000,
    counts: Annotated[str, typer.Option(help="Numbers of audiences.")] = "1,10,100,1000,5000",
    engine: Engine = None,
    json: Json = None,
) -> None:
    """The pure pipeline with 1 to 5,000 audiences, and each kind of condition by itself, without Kafka.

    CPU time from bytes to transitions and encoded rows. However many audiences there are, an event and its
    user concern about ten of them. Without --engine: with both engines, where the native one is built.
    """
    from bench.engine.choice import engines_here
    from bench.engine.show_rules import show_rules

    numbers = [int(each) for each in counts.split(",")]
    with reporting(json) as report:
        runs = [_run(report, each, events, users, numbers) for each in engines_here(engine, report.say)]
        show_rules(report, runs)


def _run(
    report: Report, name: Literal["native", "python"], events: int, users: int, counts: list[int]
) -> RulesRun:
    from agents.evaluate.native.engine import Engine as Computes
    from bench.engine.scale import kinds, ordinary, scale
    from bench.engine.show_rules import RulesRun

    computes = Computes(name)
    report.say(f"{name} engine: more and more audiences")
    scaled = scale(computes, events, users, counts)
    report.say(f"{name} engine: each kind of condition")
    return RulesRun(name, scaled, kinds(computes, events, users), ordinary(computes))

"""A history through the driver and the model: the same transitions, whatever the batching and crashes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from agents.evaluate.native.engine import Engine
from agents.evaluate.steps import Limits
from app.lookup.answers import MembershipShown
from rules.state.dedupe import dedupe_of
from rules.time.instants import format_instant
from tests.driver.driver import Crash, Driver, Until
from tests.model import Model
from tests.strategies.examples import Example, record_body
from tests.strategies.histories import RECORDS

Json = Any


def agree(example: Example, directory: Path | None = None, engine: Callable[[], Engine] = Engine) -> int:
    """Run it through both; the number of transitions on which they agree."""
    run = DrivenAndModelled(example, directory, engine)
    for number, happening in enumerate(example.history):
        run.take(number, *happening)
    run.end()
    made: dict[str, list[Json]] = {}
    for body in run.driver.transitions:
        wanted = {name: body[name] for name in next(iter(run.model.expected.values()), [body])[0]}
        made.setdefault(body["user_id"], []).append(wanted)
    assert made == run.model.expected
    assert run.driver.dead == []
    return len(run.driver.transitions)


class DrivenAndModelled:
    def __init__(self, example: Example, directory: Path | None, engine: Callable[[], Engine]) -> None:
        self.random = Random(example.seed)
        self.driver = Driver(
            json.dumps({"audiences": example.definitions}),
            directory=directory,
            limits=Limits(dedupe=dedupe_of(example.dedupe_ms, 1000)),
            cache_rows=self.random.choice([2, 100]),
            in_flight=self.random.randrange(3),
            cycle_steps=self.random.choice([1, 1, 2, 3]),
            outbox_bytes=self.random.choice([None, 300]),
            created_ms=example.created_ms,
            engine=engine,
        )
        self.model = Model(example.definitions, example.dedupe_ms, example.created_ms)
        self.most = self.random.choice([1, 3, 20])
        self.wall_ms = example.start_ms

    def take(self, number: int, kind: str, *rest: Any) -> None:
        driver, model = self.driver, self.model
        if kind in RECORDS:
            self.wall_ms += rest[1]
            body = record_body(kind, rest, self.wall_ms, number)
            driver.send(body, self.wall_ms)
            model.record(body, self.wall_ms)
        elif kind == "advance":
            self._advance(max(self.wall_ms, model.stream_time_ms) + rest[0], rest[1])
        elif kind == "crash":
            driver.crash_after(rest[0])
        if kind in ("look", "commit", "crash") or number % self.most == 0:
            self._run()
        if kind == "commit":
            driver.commit_offsets()
        elif kind == "look":
            at_ms = max(self.wall_ms + rest[1], model.stream_time_ms)
            expected = model.members(rest[0], at_ms)
            assert driver.members(rest[0], at_ms) == expected, f"members at {at_ms}"
            if (told := driver.told(rest[0], at_ms)) is not None:
                exits = driver.exits(rest[0], at_ms)
                assert told.memberships == {
                    name: MembershipShown(True, *map(_shown, (since_ms, exits[name])), 1)
                    for name, since_ms in expected.items()
                }
        elif kind == "crash":
            driver.crash_after(10**9)
            self._restart(rest[1], rest[2], rest[3])

    def end(self) -> None:
        """Timers of users without a further record may come out any time after the clock has passed them."""
        self._advance(max(self.wall_ms, self.model.stream_time_ms) + 1, 500)
        self._run()

    def _advance(self, to_ms: int, users: int) -> None:
        self.wall_ms = to_ms
        self.driver.parts[0].inbox.append(Until(to_ms, users))
        self.model.advance(to_ms)

    def _run(self) -> None:
        while True:
            try:
                return self.driver.run(lambda: self.random.randint(1, self.most))
            except Crash:
                random = self.random
                self._restart(random.random() < 0.2, random.random() < 0.5, random.randint(1, 5))

    def _restart(self, lose_store: bool, compact: bool, chunk: int) -> None:
        while True:
            try:
                return self.driver.restart(lose_store=lose_store, compact=compact, chunk=chunk)
            except Crash:
                continue


def _shown(ms: int | None) -> str | None:
    return None if ms is None else format_instant(ms)

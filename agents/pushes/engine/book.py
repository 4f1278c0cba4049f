"""The ledger in the hands of the process that leads: what is noted is on the topic first, then known here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from agents.pushes.runs import Ledger, Request, Run, RunIndex, Totals, gone, record_of
from agents.registry.leading import NotedRecord, Write

MOST_TOLD: Final = 50
"""So many lines of what happened to a run are kept."""


class Book:
    """Nobody else writes to the ledger but those who ask for something; ``take_request`` tells of these."""

    def __init__(self, ledger: Ledger, write: Write, wall_ms: Callable[[], int]) -> None:
        self._write = write
        self._wall_ms = wall_ms
        self.index = RunIndex(ledger.runs)
        self.requests: dict[str, Request] = {each.id: each for each in ledger.requests}
        self.totals: dict[str, Totals] = {each.push_key: each for each in ledger.all_totals}
        """Of runs that were forgotten, by ``project/push``."""
        self._answered: set[str] = set()

    def now_ms(self) -> int:
        return self._wall_ms()

    def take_request(self, request: Request) -> None:
        """Somebody asks for something; what is answered already is passed by."""
        if request.id not in self._answered:
            self.requests.setdefault(request.id, request)

    @property
    def runs(self) -> Mapping[str, Run]:
        """By id."""
        return self.index.runs

    @property
    def unfinished(self) -> list[Run]:
        """In the order in which they are carried out."""
        return self.index.unfinished

    async def change(self, run: str, told: str = "", **changes: Any) -> Run:
        """Note changes of a run's fields; the run as it is then."""
        before, now_ms = self.runs[run], self._wall_ms()
        if told:
            changes["told"] = (*before.told, told)[-MOST_TOLD:]
        after = replace(before, changed_ms=now_ms, **changes)
        if after.is_done and after.ended_ms is None:
            after = replace(after, ended_ms=now_ms)
        await self.note([after])
        return after

    async def note(self, runs: Sequence[Run], answered: Sequence[Request] = ()) -> None:
        """Note runs as they are now, and take requests away, all together."""
        await self._whole(self._note(runs, answered))

    async def _note(self, runs: Sequence[Run], answered: Sequence[Request]) -> None:
        records: list[NotedRecord] = [record_of(each) for each in runs]
        records += [gone(each) for each in answered]
        await self._write(records)
        for run in runs:
            self.index.put(run)
        for each in answered:
            self._answered.add(each.id)
            self.requests.pop(each.id, None)

    async def _whole(self, noting: Coroutine[Any, Any, None]) -> None:
        """What is begun to be noted is noted, also when whoever waits for it is cancelled."""
        task = asyncio.create_task(noting)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(task)

    async def forget(self, runs: Sequence[Run]) -> None:
        """Take runs off the ledger; they stay counted."""
        if runs:
            await self._whole(self._forget(runs))

    async def _forget(self, runs: Sequence[Run]) -> None:
        totals = dict(self.totals)
        for each in runs:
            before = totals.get(each.push_key, Totals(each.project, each.push))
            totals[each.push_key] = before.with_runs([each])
        records: list[NotedRecord] = [gone(each) for each in runs]
        records += [record_of(totals[key]) for key in sorted({each.push_key for each in runs})]
        await self._write(records)
        self.totals = totals
        for each in runs:
            self.index.remove(each.id)

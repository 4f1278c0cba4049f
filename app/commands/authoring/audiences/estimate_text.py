"""An estimate for a terminal: its progress, and what it found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from agents.estimate.answer import Estimate, PartSize, Size
from agents.estimate.progress import Progress, Stage
from app.commands.output import columns
from app.shown_bytes import safe

STAGES: dict[Stage, str] = {"read": "records read", "evaluate": "users evaluated"}


class Shown:
    """A bar for each stage on standard error, if that is a terminal; otherwise nothing."""

    def __init__(self) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._tasks: dict[Stage, TaskID] = {}
        self._started = ExitStack()

    def tell(self, progress: Progress) -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(STAGES[progress.stage])
        self._bars.update(self._tasks[progress.stage], completed=progress.done, total=progress.total)

    def __enter__(self) -> Self:
        self._started.enter_context(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()


def report(found: Estimate) -> Iterator[str]:
    """Lines of text: the size, its parts, its days, members."""
    name, how = f"{found.project}/{found.audience}", found.how
    yield safe(f"{name}: {told(found.size)} at {found.at}")
    yield f"of {told(found.users)}; the rule could concern {told(found.candidates)}"
    if how.sampled_users == how.log_users:
        yield f"all {number(how.log_users)} users of the log were evaluated, in {how.seconds:.1f} s"
    else:
        share = how.sampled_users / how.log_users
        yield (
            f"{number(how.sampled_users)} of {number(how.log_users)} users of the log ({share:.0%}) were "
            f"evaluated, in {how.seconds:.1f} s; intervals hold the truth with 95 % confidence"
        )
    if how.history_from is not None:
        yield f"the log's records from before {how.history_from} are gone: what was there doesn't count"
    yield ""
    yield from columns([("part", "users", "interval", "keeps", "drops", "adds"), *_rows(found.rule, 0)])
    if len(found.days) > 1:
        yield ""
        rows = [(each.day, number(each.size.users), _interval(each.size)) for each in found.days]
        yield from columns([("day", "users at its end", "interval"), *rows])
    if found.members:
        yield ""
        members = [
            (each.user_id, each.since, each.exit_at or "stays", str(each.why["found"]))
            for each in found.members
        ]
        yield from columns([("member", "since", "leaves", "because"), *members])
    yield ""


def told(size: Size) -> str:
    """For example ``about 4,540 users (4,363 to 4,724)``."""
    if size.exact:
        return f"{number(size.users)} users"
    return f"about {number(size.users)} users ({_interval(size)})"


def number(users: int) -> str:
    return f"{users:,}"


def _interval(size: Size) -> str:
    return "exact" if size.exact else f"{number(size.low)} to {number(size.high)}"


def _rows(part: PartSize, depth: int) -> Iterator[tuple[str, str, str, str, str, str]]:
    more = part.keeps, part.drops, part.adds
    keeps, drops, adds = (number(each.users) if isinstance(each, Size) else "" for each in more)
    text = f"{'  ' * depth}{part.text}"
    yield text, number(part.size.users), _interval(part.size), keeps, drops, adds
    for each in part.parts or ():
        yield from _rows(each, depth + 1)

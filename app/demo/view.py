"""The live view: one frame drawn for a terminal of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.demo.counts import CountedTransition
from app.demo.frame import AudienceLine, Frame, lookup

WIDE = 127
"""Columns from which the latest transitions stand beside the audiences."""
NARROW = 60
MOST_LATEST = 18
"""Latest transitions shown; more would only take time to draw."""
BARS = "▁▂▃▄▅▆▇█"
BESIDE = 66
"""Width of the audiences' part in a wide terminal."""
FULL_LATEST = 58
"""Columns that the latest transitions need for their instants to show."""


def draw(frame: Frame, width: int, height: int) -> RenderableType:
    """The whole screen: head, audiences, latest transitions, how to ask."""
    head = _head(frame, width)
    foot = _foot(frame, width)
    left = height - len(head) - len(foot)
    if width >= WIDE:
        body = Table.grid(padding=(0, 3, 0, 0))
        body.add_column(width=BESIDE)
        body.add_column(ratio=1)
        latest = frame.latest[: max(0, min(MOST_LATEST, left - 1))]
        body.add_row(_audiences(frame.lines, BESIDE), _latest(latest, frame.names, width - BESIDE - 3))
        used = 1 + max(len(frame.lines), len(latest))
        parts: list[RenderableType] = [body]
    else:
        latest = frame.latest[: max(0, min(MOST_LATEST, left - len(frame.lines) - 3))]
        parts, used = [_audiences(frame.lines, width)], 1 + len(frame.lines)
        if latest:
            parts += [Text(), _latest(latest, frame.names, width)]
            used += 2 + len(latest)
    return Group(*head, *parts, *(Text() for _ in range(left - used)), *foot)


def _head(frame: Frame, width: int) -> list[RenderableType]:
    title = Text(" Turnstile demo", style="bold")
    title.append(f"  {frame.date}", style="bold cyan")
    title.append(f"  {frame.share:4.0%} ", style="cyan")
    title.append_text(_bar(frame.share, max(5, min(40, width - 36))))
    numbers = [
        f"{frame.purchases:,} purchases",
        f"{frame.record_rate:,.0f} records/s",
        f"{frame.transitions:,} transitions",
        f"{frame.transition_rate:,.0f}/s",
        f"lag {frame.lag:,}",
    ]
    counts = Text(" " + "   ".join(numbers), no_wrap=True, overflow="ellipsis")
    state = Text(" worker ", no_wrap=True, overflow="ellipsis")
    state.append(frame.state, style="green" if frame.state == "ready" else "yellow")
    if frame.dead_letters:
        state.append(f"   {frame.dead_letters:,} dead letters", style="red")
    return [title, counts, state, Text()]


def _bar(share: float, width: int) -> Text:
    done = round(share * width)
    return Text("━" * done, style="cyan") + Text("━" * (width - done), style="bright_black")


def _audiences(lines: Sequence[AudienceLine], width: int) -> Table:
    table = _table(width)
    table.add_column("Audience", min_width=min(22, width - 20), no_wrap=True, overflow="ellipsis")
    table.add_column("Members", justify="right", width=7)
    with_trend = width >= NARROW
    if with_trend:
        table.add_column("", ratio=1, no_wrap=True, overflow="crop")
    if width >= NARROW - 15:
        table.add_column("Enters", justify="right", width=7)
        table.add_column("Exits", justify="right", width=7)
    for line in lines:
        cells: list[RenderableType] = [line.name, Text(f"{line.members:,}", style="bold")]
        if with_trend:
            cells.append(Text(_trend(line.trend), style="cyan"))
        if width >= NARROW - 15:
            cells += [Text(f"{line.enters:,}", style="green"), Text(f"{line.exits:,}", style="red")]
        table.add_row(*cells)
    return table


def _trend(members: Sequence[int]) -> str:
    most = max(members, default=0) or 1
    return "".join(BARS[min(7, count * 8 // (most + 1))] for count in members)


def _latest(latest: Sequence[CountedTransition], names: Mapping[str, str], width: int) -> Table:
    table = _table(width)
    table.add_column("User", min_width=5, no_wrap=True)
    table.add_column("", min_width=5, no_wrap=True)
    table.add_column("Audience", ratio=1, no_wrap=True, overflow="ellipsis")
    if width >= FULL_LATEST:
        table.add_column("At", min_width=16, no_wrap=True)
    table.add_column("Leaves by", min_width=10, no_wrap=True)
    for transition in latest:
        table.add_row(*_cells(transition, names, width))
    return table


def _cells(transition: CountedTransition, names: Mapping[str, str], width: int) -> list[RenderableType]:
    entered = transition.event == "enter"
    style = "green" if entered else "red"
    cells: list[RenderableType] = [
        transition.user_id,
        Text(transition.event, style=style),
        names.get(transition.audience, transition.audience),
    ]
    if width >= FULL_LATEST:
        cells.append(transition.at[:16].replace("T", " "))
    cells.append(transition.exit_at[:10] if transition.exit_at else ("-" if entered else ""))
    return cells


def _foot(frame: Frame, width: int) -> list[RenderableType]:
    ask = Text(f" {lookup(frame)}", no_wrap=True, overflow="fold", style="bold")
    return [Text(), ask, Text(" Ctrl-C ends the demo", style="bright_black", no_wrap=True)]


def _table(width: int) -> Table:
    return Table(
        box=None,
        width=width,
        padding=(0, 1),
        pad_edge=True,
        header_style="bright_black",
        collapse_padding=True,
    )

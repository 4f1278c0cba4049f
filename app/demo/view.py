"""The live view: one frame drawn for a terminal of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.demo.counts import CountedTransition
from app.demo.frame import TREND_POINTS, AudienceLine, Frame, lookup

WIDE = 127
"""Columns from which the latest transitions stand beside the audiences."""
NARROW = 60
ROOMY = 80
MOST_LATEST = 18
"""Latest transitions shown; more would only take time to draw."""
ENOUGH_LATEST = 5
"""So many are shown before rows stay blank."""
BARS = "▁▂▃▄▅▆▇█"
MOST_BESIDE = 86
"""Width of the audiences' part in a wide terminal, at most."""
FULL_LATEST = 58
"""Columns that the latest transitions need for their instants to show."""
GAP = 3
NAME = 22
"""Columns of an audience's name, where there are so many."""
_FIGURES = 3 * 7 + 6
"""Columns of members, enters, exits, and of what lies between all columns."""

Lines = list[RenderableType]


def draw(frame: Frame, width: int, height: int) -> RenderableType:
    """The whole screen: head, audiences, latest transitions, how to ask. Not higher than ``height``."""
    head, foot = _head(frame, width), _foot(frame, width)
    left = max(2, height - len(head) - len(foot))
    audiences = _shown(frame.lines, left - 1)
    if width >= WIDE:
        parts = _side_by_side(frame, audiences, width, left)
    else:
        parts = _one_above_the_other(frame, audiences, width, left)
    return Group(*head, *parts, *foot)


def _side_by_side(frame: Frame, audiences: Sequence[AudienceLine], width: int, rows: int) -> Lines:
    beside = min(MOST_BESIDE, width - GAP - FULL_LATEST)
    latest = frame.latest[: min(MOST_LATEST, rows - 1)]
    body = Table.grid(padding=(0, GAP, 0, 0))
    body.add_column(width=beside)
    body.add_column(ratio=1)
    more = len(frame.lines) - len(audiences)
    body.add_row(_audiences(audiences, more, beside), _latest(latest, frame.names, width - beside - GAP))
    blank = rows - 1 - max(len(audiences) + bool(more), len(latest))
    above = [Text()] if blank else []
    return [*above, body, *(Text() for _ in range(blank - len(above)))]


def _one_above_the_other(frame: Frame, audiences: Sequence[AudienceLine], width: int, rows: int) -> Lines:
    """The blank rows that set the parts apart come last: a low terminal has transitions instead."""
    more = len(frame.lines) - len(audiences)
    spare = rows - 1 - len(audiences) - bool(more)
    gaps = max(0, min(3, spare - 1 - ENOUGH_LATEST))
    latest = frame.latest[: max(0, min(MOST_LATEST, spare - gaps - 1))]
    parts: Lines = [*_blank(gaps >= 2), _audiences(audiences, more, width), *_blank(gaps >= 1)]
    used = len(parts) - 1
    if latest:
        parts.append(_latest(latest, frame.names, width))
        used += 1 + len(latest)
    return [*parts, *(Text() for _ in range(spare - used))]


def _blank(wanted: bool) -> Lines:
    return [Text()] if wanted else []


def _shown(lines: Sequence[AudienceLine], rows: int) -> Sequence[AudienceLine]:
    """As many as there is room for; where not for all, one row less, which says how many more there are."""
    return lines if len(lines) <= rows else lines[: rows - 1]


def _head(frame: Frame, width: int) -> Lines:
    title = Text(" Turnstile demo", style="bold", no_wrap=True, overflow="ellipsis")
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
    state = Text("worker ")
    state.append(frame.state, style="green" if frame.state == "ready" else "yellow")
    parts = [*(Text(each) for each in numbers), state]
    if frame.dead_letters:
        parts.append(Text(f"{frame.dead_letters:,} dead letters", style="red"))
    return [title, *_flow(parts, width)]


def _flow(parts: Sequence[Text], width: int) -> Lines:
    """The parts one after the other, none of them cut as long as a line can hold it."""
    lines: list[Text] = []
    for part in parts:
        if lines and len(lines[-1]) + GAP + len(part) <= width:
            lines[-1].append(" " * GAP).append_text(part)
        else:
            lines.append(Text(" ", no_wrap=True, overflow="ellipsis").append_text(part))
    return list(lines)


def _bar(share: float, width: int) -> Text:
    done = round(share * width)
    return Text("━" * done, style="cyan") + Text("━" * (width - done), style="bright_black")


def _audiences(lines: Sequence[AudienceLine], more: int, width: int) -> Table:
    """``more``: audiences for which there is no room."""
    table = _table(width)
    name = min(NAME, width - 20)
    table.add_column("Audience", min_width=name, no_wrap=True, overflow="ellipsis")
    table.add_column("Members", justify="right", width=7)
    trend = width - name - _FIGURES if width >= NARROW else 0
    if trend:
        title = "Members over time" if trend >= 17 else "Over time"
        table.add_column(title, width=trend, no_wrap=True, overflow="crop")
    if width >= NARROW - 15:
        table.add_column("Enters", justify="right", width=7)
        table.add_column("Exits", justify="right", width=7)
    for line in lines:
        cells: Lines = [line.name, Text(f"{line.members:,}", style="bold")]
        if trend:
            cells.append(Text(bars(line.trend, trend), style="cyan"))
        if width >= NARROW - 15:
            cells += [Text(f"{line.enters:,}", style="green"), Text(f"{line.exits:,}", style="red")]
        table.add_row(*cells)
    if more:
        table.add_row(Text(f"and {more} more", style="bright_black"))
    return table


def bars(members: Sequence[int], width: int) -> str:
    """A bar for each date: nobody is the lowest, the most that there have been is the highest.

    ``width`` columns are the whole log: so fewer columns have fewer dates, and the latest one stays.
    """
    columns = min(width, TREND_POINTS)
    shown = [
        members[min(len(members), (column + 1) * TREND_POINTS // columns) - 1]
        for column in range(-(-len(members) * columns // TREND_POINTS))
    ]
    most = max(members, default=0) or 1
    return "".join(BARS[min(7, count * 8 // (most + 1))] for count in shown)


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


def _cells(transition: CountedTransition, names: Mapping[str, str], width: int) -> Lines:
    entered = transition.event == "enter"
    style = "green" if entered else "red"
    cells: Lines = [
        transition.user_id,
        Text(transition.event, style=style),
        names.get(transition.audience, transition.audience),
    ]
    if width >= FULL_LATEST:
        cells.append(transition.at[:16].replace("T", " "))
    cells.append(transition.exit_at[:10] if transition.exit_at else ("-" if entered else ""))
    return cells


def _foot(frame: Frame, width: int) -> Lines:
    ask = Text(f" {lookup(frame)}", no_wrap=True, overflow="fold", style="bold")
    legend = "▁▄█ members over time" + (", each audience up to its own most" if width >= ROOMY else "")
    told = [Text(legend, style="bright_black")] if width >= NARROW else []
    return [ask, *_flow([*told, Text("Ctrl-C ends the demo", style="bright_black")], width)]


def _table(width: int) -> Table:
    return Table(
        box=None,
        width=width,
        padding=(0, 1),
        pad_edge=True,
        header_style="bright_black",
        collapse_padding=True,
    )

"""What the demo says in plain text: a line now and then, and the summary at the end of the log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table

from app.demo.frame import Frame, day_of, lookup
from app.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the summary tells beyond the last frame. ``seconds`` from the first record to the last effect."""

    complete: bool
    seconds: float
    purchases: int
    customers: int
    start_ms: int
    repeated: int
    missing: int
    halfway: str = ""
    """How the audience arrived that was published in the middle; empty: it didn't."""

    @classmethod
    def of(cls, stage: Stage, complete: bool, seconds: float) -> DemoResult:
        replay, counts = stage.replay, stage.counts
        return cls(
            complete,
            seconds,
            replay.purchases_sent,
            len({each.customer for each in stage.purchases[: replay.purchases_sent]}),
            replay.start_ms,
            counts.repeated,
            counts.missing,
            _halfway(stage),
        )


def _halfway(stage: Stage) -> str:
    halfway = stage.halfway
    arrival, audience = halfway.arrival, halfway.audience
    if arrival is None:
        return ""
    members = stage.counts.backfilled[audience.id]
    return (
        f"{audience.name} was published halfway, on {day_of(arrival.date_ms)}, and arrived with its "
        f"{members:,} members after {arrival.seconds:.1f} s: they were computed from the history."
    )


def progress_line(frame: Frame) -> str:
    return (
        f"{frame.date}  {frame.share:4.0%}  "
        f"{frame.purchases:,} purchases  {frame.record_rate:,.0f} records/s  "
        f"{frame.transitions:,} transitions  {frame.transition_rate:,.0f}/s  lag {frame.lag:,}  "
        f"worker {frame.state}"
    )


def print_summary(console: Console, frame: Frame, result: DemoResult) -> None:
    """The figures of the whole run."""
    say = partial(console.print, soft_wrap=not console.is_terminal)
    if result.complete:
        say(f"[bold]The log ended.[/] It is {frame.date}, and the demo's clock stands there.")
    else:
        say(f"[bold]Stopped[/] on {frame.date}, with {frame.share:.0%} of the log replayed.")
    say()
    say(
        f"{result.purchases:,} purchases of {result.customers:,} customers, "
        f"{day_of(result.start_ms)} to {day_of(frame.date_ms - 1)}; {frame.records:,} records evaluated"
    )
    numbering = "numbered without a gap" if not result.missing else f"{result.missing:,} MISSING"
    repeated = f", {result.repeated:,} came twice with the same id" if result.repeated else ""
    say(f"{frame.transitions:,} transitions, {numbering}{repeated}; {frame.dead_letters:,} dead letters")
    seconds = max(result.seconds, 0.001)
    say(
        f"{result.seconds:.1f} seconds: {frame.records / seconds:,.0f} records/s, "
        f"{frame.transitions / seconds:,.0f} transitions/s"
    )
    say()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("Audience", "Members", "Enters", "Exits"):
        table.add_column(name, justify="left" if name == "Audience" else "right", no_wrap=True)
    for line in frame.lines:
        table.add_row(line.name, f"{line.members:,}", f"{line.enters:,}", f"{line.exits:,}")
    console.print(table)
    say()
    if result.halfway:
        say(result.halfway)
        say()


def print_serving(console: Console, frame: Frame, topic: str, bootstrap: str) -> None:
    """What there is to do after the log's end; ``topic`` has the transitions."""
    say = partial(console.print, soft_wrap=True, highlight=False)  # commands must stay on one line
    say(f"Still serving, as of {frame.date}. A worker on live data goes on with today's clock, and by now")
    say("all of these customers would have lapsed. In another terminal:")
    say()
    say(f"  {lookup(frame)}")
    member = f"{frame.url}/v1/audiences/lapsed/members/{frame.customer}"
    say(f"  curl -s {member}")
    say(f"  curl -s {frame.url}/metrics")
    say()
    say(f"Transitions are on the topic {topic} of Kafka at {bootstrap}; docs/consumers.md has a consumer.")
    say()
    say("Ctrl-C ends the demo.")

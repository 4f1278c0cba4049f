"""``turnstile dlq``: look at the dead letters of a topic, and send them again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import SettingsFile, load_quiet
from app.commands.output import columns

if TYPE_CHECKING:
    from app.dlq.letters import KeptLetter, LetterFilter, Reason
    from app.dlq.replay import ReplayedLetters
    from app.settings.tree import Settings

FAILED = 1
SHOWN_CHARACTERS = 4_000

cli = typer.Typer(help="Look at the dead letters of a topic, and send them again.", no_args_is_help=True)

Topic = Annotated[
    str,
    typer.Argument(metavar="TOPIC", help="The source topic, or its dead-letter topic.", show_default=False),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only this reason.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only this partition of the dead-letter topic.")]
Offset = Annotated[int | None, typer.Option(min=0, help="Only the letter at this offset; needs --partition.")]


@cli.command("list")
def list_letters(
    topic: Topic, reason: ReasonOption = None, partition: Partition = None, settings: SettingsFile = None
) -> None:
    """Count the letters by reason: how many, how many wait for a replay, first and last, and where."""
    import asyncio

    wanted = _wanted(reason, partition, None)
    found, none = asyncio.run(_list(load_quiet(settings), topic, wanted))
    if none:
        typer.echo(none)
        return
    head = ("reason", "letters", "waiting", "first", "at", "last", "at")
    typer.echo("\n".join(columns([head, *map(_row, found)])))


async def _list(settings: Settings, topic: str, wanted: LetterFilter) -> tuple[list[Reason], str]:
    """What was found; where it is nothing, what is said of that."""
    from app.dlq.letters import letter_topic, none_found, reasons_of
    from app.shown_bytes import safe

    async with letter_topic(settings, topic) as letters:
        found = await reasons_of(letters, wanted)
        return found, "" if found else safe(await none_found(letters, wanted))


def _row(reason: Reason) -> tuple[str, ...]:
    from app.shown_bytes import safe
    from rules.time.instants import format_instant

    return (
        safe(reason.code),
        str(reason.letters),
        str(reason.waiting),
        format_instant(max(reason.first_ms, 0)),
        "{}@{}".format(*reason.first),
        format_instant(max(reason.last_ms, 0)),
        "{}@{}".format(*reason.last),
    )


@cli.command()
def show(
    topic: Topic,
    reason: ReasonOption = None,
    partition: Partition = None,
    offset: Offset = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many at most.")] = 10,
    settings: SettingsFile = None,
) -> None:
    """Show letters: why, where from, key, headers, value. What a terminal would obey is escaped."""
    import asyncio

    wanted = _wanted(reason, partition, offset)
    name, found, more = asyncio.run(_show(load_quiet(settings), topic, wanted, limit))
    if not found:
        typer.echo(name)
        raise typer.Exit(FAILED)
    typer.echo("\n\n".join("\n".join(_lines(name, each)) for each in found))
    if more:
        typer.echo(f"\nand more: --limit {2 * limit} shows further ones")


async def _show(
    settings: Settings, topic: str, wanted: LetterFilter, limit: int
) -> tuple[str, list[KeptLetter], bool]:
    """The topic's name, its letters, and whether there are more; of none what is said of that, instead."""
    from app.dlq.letters import letter_topic, none_found
    from app.shown_bytes import safe

    found: list[KeptLetter] = []
    async with letter_topic(settings, topic) as letters:
        async for letter in letters.letters(wanted):
            if len(found) == limit:
                return letters.name, found, True
            found.append(letter)
        name = letters.name if found else safe(await none_found(letters, wanted))
        return name, found, False


def _lines(topic: str, letter: KeptLetter) -> Iterator[str]:
    from app.shown_bytes import safe, shown
    from rules.time.instants import format_instant

    record = letter.record
    yield f"{topic}/{record.partition}@{record.offset}  {format_instant(max(record.timestamp, 0))}"
    yield f"  reason   {safe(letter.code)}: {safe(letter.message)}"
    if letter.source is not None:
        name, partition, offset = letter.source
        at = letter.source_timestamp_ms
        when = "" if at is None else f"  {_instant(at)}"
        # A member that came first, as a destination's first transitions do, has no record behind it.
        place = "" if partition is None or offset is None else f"/{partition}@{offset}"
        yield f"  from     {safe(name)}{place}{when}"
    yield f"  key      {shown(record.key, SHOWN_CHARACTERS)}"
    for header, value in record.headers:
        yield f"  header   {safe(header)}: {shown(value, SHOWN_CHARACTERS)}"
    left_out = letter.value_bytes
    if left_out is not None and record.value is None:
        yield f"  value    left out, because the topic refused its {left_out} bytes"
    else:
        yield f"  value    {shown(record.value, SHOWN_CHARACTERS)}"


def _instant(at_ms: int) -> str:
    from rules.time.instants import MAX_MS, format_instant

    return format_instant(at_ms) if at_ms <= MAX_MS else f"{at_ms} ms"


@cli.command()
def replay(
    topic: Topic,
    reason: ReasonOption = None,
    partition: Partition = None,
    offset: Offset = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were sent again before.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="With the time of the replay, not with the record's own time.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and stop.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Send letters again to the topic they came from, each once. Exit code 1 when some can't be sent."""
    import asyncio

    wanted = _wanted(reason, partition, offset)
    name, result = asyncio.run(_replay(load_quiet(settings), topic, wanted, again, now, dry_run))
    for line in _report(name, result, dry_run):
        typer.echo(line)
    if result.left:
        raise typer.Exit(FAILED)


async def _replay(
    settings: Settings, topic: str, wanted: LetterFilter, again: bool, now: bool, dry_run: bool
) -> tuple[str, ReplayedLetters]:
    """The topic's name and how it went; where there was nothing to send, what is said of that, instead."""
    from app.dlq.letters import letter_topic, none_found
    from app.dlq.replay import replay as send_again
    from app.shown_bytes import safe

    async with letter_topic(settings, topic) as letters:
        result = await send_again(settings, letters, wanted, again=again, now=now, dry_run=dry_run)
        return letters.name if result.found else safe(await none_found(letters, wanted)), result


def _report(name: str, result: ReplayedLetters, dry_run: bool) -> Iterator[str]:
    from app.shown_bytes import safe

    done = "would be sent" if dry_run else "sent"
    for (code, source), count in sorted(result.sent.items()):
        yield f"{count} {safe(code)} {done} to {safe(source)}"
    for letter, why in result.left:
        yield "{}/{}@{} {}: not sent, because {}".format(name, *letter.place, safe(letter.code), safe(why))
    if result.done_before:
        yield f"{result.done_before} sent by an earlier replay: --again sends them once more"
    if result.erased:
        yield f"{result.erased} not sent, because their users were erased since"
    if not result.found:
        yield name
    if dry_run:
        yield "dry run: nothing was sent"


def _wanted(reason: str | None, partition: int | None, offset: int | None) -> LetterFilter:
    from app.dlq.letters import LetterFilter
    from app.failures import CommandFailed

    if offset is not None and partition is None:
        raise CommandFailed("--offset needs --partition: each partition has offsets of its own")
    return LetterFilter(reason, partition, offset)

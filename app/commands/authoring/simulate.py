"""``turnstile simulate``: the pipeline without Kafka."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.events_file import (
    Columns,
    FormatName,
    Source,
    bad_lines_of,
    open_events,
    read_records,
)
from app.commands.options import EngineName, SettingsFile, engine_of
from app.failures import CommandFailed

if TYPE_CHECKING:
    from app.simulate.simulate import Simulation
    from rules.model.language import Audience

BAD_LINES = 3


def simulate(
    audiences: Annotated[list[Path], typer.Option(metavar="FILE|DIR", help="Definitions; may be repeated.")],
    events: Annotated[str, typer.Option(metavar="FILE|-", help="Input records as JSON lines, in log order.")],
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The instant to which time goes after the last record (RFC 3339, or a number).",
        ),
    ] = None,
    created: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When the audiences were created: `schedule: once` is computed then."
        ),
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FILE|-", help="Where the transitions go, as JSON lines.")
    ] = "-",
    daily: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-",
            help="Where the sizes by day go, as JSON; the last days are told as a table, too.",
        ),
    ] = None,
    source: Source = None,
    format: FormatName = None,
    column: Columns = None,
    engine: EngineName = None,
    settings: SettingsFile = None,
) -> None:
    """Run records from a file through the pipeline, without Kafka; exit code 3 when lines were bad.

    What every audience came to goes to standard error.
    """
    from app.commands.authoring.simulated import report
    from app.publish.files import load_audiences
    from app.settings.limits import limits_of
    from app.settings.tree import load_settings
    from app.simulate.lines import TOPIC
    from app.simulate.simulate import Simulation

    if daily == out == "-":
        raise CommandFailed("--daily -: transitions go to standard output; --out FILE puts them elsewhere")
    loaded = load_settings(settings)
    chosen = engine_of(engine, loaded)
    until_ms = None if until is None else parse_time(until)
    created_ms = None if created is None else parse_time(created, "--created")
    max_samples = loaded.state.max_samples
    definitions = load_audiences(audiences, max_samples, loaded.projects.zones)
    once = [each.id for each in definitions if each.schedule is not None and each.schedule.kind == "once"]
    if once and created_ms is None:
        told = ", ".join(f"'{each}'" for each in once)
        typer.echo(f"{told}: computed once, when created: nobody gets in without --created TIME", err=True)
    bad_lines = bad_lines_of(events)
    with contextlib.ExitStack() as files:
        stream = files.enter_context(open_events(events))
        sink = files.enter_context(_open_out(out, stream))
        lines, made = read_records(stream, loaded, source, format, column, bad_lines)
        limits = replace(limits_of(loaded), formats={} if made is None else {TOPIC: made})
        simulation = Simulation(
            definitions, sink, bad_lines.add, limits, max_samples, created_ms=created_ms or 0, engine=chosen
        )
        summary = simulation.run(lines, until_ms)
        sink.flush()
    bad_lines.end()
    if daily is not None:
        _write_daily(daily, definitions, simulation)
    for line in report(summary, definitions, bad_lines.count):
        typer.echo(line, err=True)
    if bad_lines.count:
        raise typer.Exit(BAD_LINES)


def _write_daily(name: str, definitions: list[Audience], simulation: Simulation) -> None:
    """The sizes by day to a file, and those of the last days as a table. Raises CommandFailed."""
    import json

    from app.commands.output import columns
    from app.simulate.daily_sizes import daily_document, daily_rows

    summary = simulation.summary
    days = definitions, simulation.daily, summary.begin_ms, summary.at_ms
    text = json.dumps(daily_document(*days), ensure_ascii=False, indent=2) + "\n"
    try:
        if name == "-":
            sys.stdout.write(text)
        else:
            Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"--daily: {name} can't be written: {error.strerror}") from None
    for line in columns(daily_rows(*days)):
        typer.echo(line, err=True)


def parse_time(text: str, option: str = "--until") -> int:
    """An instant on the command line (ms). Raises CommandFailed."""
    from rules.time.instants import InstantInvalid, parse_instant

    try:
        number = float(text) if "." in text else int(text)
    except ValueError:
        number = None
    try:
        return parse_instant(text if number is None else number)
    except InstantInvalid as error:
        raise CommandFailed(f"{option}: {error}") from None


def _open_out(name: str, events: IO[bytes]) -> contextlib.AbstractContextManager[IO[bytes]]:
    if name == "-":
        return contextlib.nullcontext(sys.stdout.buffer)
    if os.path.exists(name) and os.path.samestat(os.stat(name), os.fstat(events.fileno())):
        raise CommandFailed(f"--out: {name} is the file that --events reads")
    try:
        return open(name, "wb")
    except OSError as error:
        raise CommandFailed(f"--out: {name} can't be written: {error.strerror}") from None

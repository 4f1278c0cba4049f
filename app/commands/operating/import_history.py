"""``turnstile import``: records from before the source topics begin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.events_file import Columns, FormatName, Source
from app.commands.options import SettingsFile, load_quiet

if TYPE_CHECKING:
    from agents.backfill.history.imports import Import
    from app.imports.importer import Outcome

BAD_LINES = 3
REBUILD = "turnstile audiences rebuild --all"


def import_history(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIR|URL...",
            help="JSON lines or CSV, plain or packed (gzip, zstd); folders, patterns; s3://, gs://, az://.",
            show_default=False,
        ),
    ],
    topic: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of topics.history; by default the first.")
    ] = None,
    source: Source = None,
    format: FormatName = None,
    column: Columns = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="If a line is bad, end before anything is written.")
    ] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Give up an import that isn't complete; nothing of it counts.")
    ] = False,
    buffer: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory for sorting; records beyond are sorted on disk.")
    ] = "256MiB",
    temp: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where records are sorted on disk; by default the system's folder."),
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Import records from before the source topics begin; exit code 3 when lines were bad.

    The same files again change nothing, and complete an import that was cut short. No audience changes by
    this: `turnstile audiences rebuild --all` computes all of them anew.
    """
    from app.imports.find import find_files
    from app.imports.importer import Importer, Options
    from app.imports.reading import make_reading
    from app.imports.screens import screen
    from app.shown_bytes import safe

    loaded = load_quiet(settings)
    reading = make_reading(loaded, source, format, column)
    options = Options(topic, strict, abandon, _buffer_bytes(buffer), _folder(temp))
    found = find_files(files)
    with screen() as (progress, console):
        importer = Importer(loaded, reading, options, progress, lambda text: console.print(safe(text)))
        try:
            outcome = importer.run(found)
        except KeyboardInterrupt:
            console.print("interrupted: give the same command again, and it goes on from here")
            raise
    for line in told(outcome):
        typer.echo(safe(line))
    if outcome.bad:
        raise typer.Exit(BAD_LINES)


def told(outcome: Outcome) -> Iterator[str]:
    """What an import came to, line by line."""
    from app.commands.authoring.told import counted

    for name in outcome.known:
        yield f"{name}: everything in it was imported before"
    for name in outcome.empty:
        yield f"{name}: there is no record in it that can be imported"
    for each in outcome.imports:
        files = counted(len(each.files), "file")
        yield f"{counted(each.records, 'record')} of {files} {_where(outcome, each)}"
    if outcome.erased:
        yield f"{counted(outcome.erased, 'record')} left out, because their users were erased"
    if outcome.bad:
        yield f"{counted(outcome.bad, 'bad line')}: see above"
    if any(each.records for each in outcome.imports):
        yield f"no audience has changed by this; `{REBUILD}` takes the history in, and asks first"
    elif not outcome.imports:
        yield "nothing to import"


def _where(outcome: Outcome, done: Import) -> str:
    from rules.time.instants import format_instant

    runs = [each for each in done.runs if each.records]
    if not runs:
        return f"into {outcome.topic}"
    first, last = min(each.first_ms for each in runs), max(each.last_ms for each in runs)
    return f"into {outcome.topic}, from {format_instant(first)} to {format_instant(last)}"


def _buffer_bytes(text: str) -> int:
    from pydantic import TypeAdapter, ValidationError

    from app.failures import CommandFailed
    from app.settings.tree import MIB
    from app.settings.values import Size

    try:
        found = int(TypeAdapter(Size).validate_python(text))
    except ValidationError:
        found = 0
    if found < MIB:
        raise CommandFailed(f"--buffer {text}: must be a size of 1MiB or more, such as 256MiB or 2GiB")
    return found


def _folder(path: Path | None) -> Path | None:
    from app.failures import CommandFailed

    if path is not None and not path.is_dir():
        raise CommandFailed(f"--temp {path}: there is no such folder")
    return path

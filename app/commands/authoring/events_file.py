"""The file of records that ``simulate`` and ``check`` read, and how its records are written."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Annotated, TypeAlias

import typer

from app.failures import CommandFailed

if TYPE_CHECKING:
    from agents.formats.format import Format
    from app.settings.tree import Settings
    from app.simulate.bad_lines import BadLines

Source: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TOPIC", help="The records are written as this source topic's.")
]
FormatName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The records' format: segment, sensors, cloudevents, or csv (a header)."
    ),
]
Columns: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD=NAME", help="The column of a field, where it has another name (csv)."),
]


def open_events(name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """``-`` is standard input. Raises CommandFailed."""
    if name == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except OSError as error:
        raise CommandFailed(f"--events: {name} can't be read: {error.strerror}") from None


def bad_lines_of(name: str) -> BadLines:
    """Told on standard error."""
    from app.shown_bytes import safe
    from app.simulate.bad_lines import BadLines

    return BadLines("stdin" if name == "-" else name, lambda text: typer.echo(safe(text), err=True))


def read_records(
    stream: IO[bytes],
    settings: Settings,
    source: str | None,
    name: str | None,
    columns: Sequence[str] | None,
    bad_lines: BadLines,
) -> tuple[Iterable[bytes], Format | None]:
    """The lines and the format that they are written in (None: native). Raises CommandFailed."""
    from app.settings.formats import FormatUnknown, format_of
    from app.simulate.log_file import CSV, csv_records, parse_columns

    lines = bad_lines.watched(stream)
    if name == CSV:
        return csv_records(lines, parse_columns(columns or ()), bad_lines.add), None
    if columns:
        raise CommandFailed("--column is for --format csv")
    try:
        return lines, format_of(settings.sources, source, name)
    except FormatUnknown as unknown:
        raise CommandFailed(f"{unknown}; or csv") from None

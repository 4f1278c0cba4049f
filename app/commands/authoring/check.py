"""``turnstile check``: definitions, and everything that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.authoring.events_file import (
    Columns,
    FormatName,
    Source,
    bad_lines_of,
    open_events,
    read_records,
)
from app.commands.authoring.told import counted, told
from app.commands.options import Definitions, SettingsFile, load_quiet

if TYPE_CHECKING:
    from rules.model.language import Audience
    from rules.parse.problems import DefinitionProblem
    from rules.warn.seen import LogNames

INVALID = 1


def check(
    files: Definitions,
    published: Annotated[
        bool, typer.Option("--published", help="Beside the published definitions, as `audiences apply` does.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Records, as for `simulate`: names that they lack are told, too."
        ),
    ] = None,
    source: Source = None,
    format: FormatName = None,
    column: Columns = None,
    settings: SettingsFile = None,
) -> None:
    """Check definitions: every error and warning with its file, line and column.

    Exit code 1 when there are errors; with --strict also when there are warnings.
    """
    from app.publish.files import parse_definition_files
    from rules.parse.definitions import check_together
    from rules.warn.find import warnings_of

    audiences, problems = parse_definition_files(files, *_limits(settings))
    others: Iterable[Audience] = ()
    if published:
        import asyncio

        from app.commands.authoring.audiences.read import read_published
        from app.publish.audiences import check_beside_published

        there = asyncio.run(read_published(load_quiet(settings)))
        others = [each.audience for each in there.values() if not each.deleted]
        problems += check_beside_published(audiences, there, problems)
    else:
        problems += list(check_together(audiences, found_before=problems))
    log = None if events is None else _names_in(events, source, format, column, settings)
    warnings = warnings_of(audiences, others, log)
    for line in told(problems, warnings):
        typer.echo(line, err=True)
    if problems or (warnings and strict):
        typer.echo(_summary(problems, warnings, published), err=True)
        raise typer.Exit(INVALID)
    count = counted(len(audiences), "audience")
    typer.echo(f"{count}, no problem" if not warnings else f"{count}, {counted(len(warnings), 'warning')}")


def _names_in(
    events: str,
    source: str | None,
    kind: str | None,
    columns: Sequence[str] | None,
    settings: SettingsFile,
) -> LogNames:
    """The names in a log; its bad lines are told, and are no problem of the definitions."""
    from app.settings.tree import load_settings
    from app.simulate.names import names_in

    bad_lines = bad_lines_of(events)
    with open_events(events) as stream:
        lines, made = read_records(stream, load_settings(settings), source, kind, columns, bad_lines)
        found = names_in(lines, made, bad_lines.add)
    bad_lines.end()
    return found


def _summary(
    problems: Sequence[DefinitionProblem], warnings: Sequence[DefinitionProblem], published: bool
) -> str:
    counts = [(len(problems), "problem"), (len(warnings), "warning")]
    count = ", ".join(counted(number, noun) for number, noun in counts if number)
    if published or all(problem.code != "reference" for problem in problems):
        return count
    return f"{count}; published audiences were not looked at; --published checks them, too"


def _limits(settings: Path | None) -> tuple[int, Mapping[str, str]]:
    """What settings say to the parser; where nothing is set they, slow to import, aren't loaded for it."""
    from rules.parse.definitions import MAX_SAMPLES
    from rules.parse.values import UTC

    if settings is None and not any(name.startswith("TURNSTILE_") for name in os.environ):
        return MAX_SAMPLES, UTC
    from app.settings.tree import load_settings

    loaded = load_settings(settings)
    return loaded.state.max_samples, loaded.projects.zones

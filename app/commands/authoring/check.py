"""``turnstile check``: definitions, and everything that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import Definitions, SettingsFile, load_quiet

if TYPE_CHECKING:
    from rules.parse.problems import DefinitionProblem

INVALID = 1


def check(
    files: Definitions,
    published: Annotated[
        bool, typer.Option("--published", help="Beside the published definitions, as `audiences apply` does.")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Check definitions: every error with its file, line and column; exit code 1 when there are any."""
    from app.publish.files import parse_definition_files
    from rules.parse.definitions import check_together
    from rules.parse.problems import DefinitionsInvalid

    audiences, problems = parse_definition_files(files, *_limits(settings))
    if published:
        import asyncio

        from app.commands.authoring.audiences import read_published
        from app.publish.audiences import check_beside_published

        problems += check_beside_published(
            audiences, asyncio.run(read_published(load_quiet(settings))), problems
        )
    else:
        problems += list(check_together(audiences, found_before=problems))
    if problems:
        typer.echo(str(DefinitionsInvalid(problems)), err=True)
        typer.echo(_summary(problems, published), err=True)
        raise typer.Exit(INVALID)
    count = len(audiences)
    typer.echo("1 audience, no problem" if count == 1 else f"{count} audiences, no problem")


def _summary(problems: Sequence[DefinitionProblem], published: bool) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
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

"""``turnstile test``: authors' cases, and where what comes out isn't what must."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import EngineName, SettingsFile, engine_of

FAILED = 1


def run(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files of cases", show_default=False)
    ],
    engine: EngineName = None,
    settings: SettingsFile = None,
) -> None:
    """Run authors' cases: events in, expected membership and transitions out; exit code 1 when one fails."""
    from app.settings.limits import limits_of
    from app.settings.tree import load_settings
    from app.simulate.case_report import report
    from app.simulate.cases import load_cases, run_cases
    from rules.parse.problems import DefinitionsInvalid

    loaded = load_settings(settings)
    limits, chosen = limits_of(loaded), engine_of(engine, loaded)
    try:
        found = load_cases(files, loaded.state.max_samples, loaded.projects.zones)
    except DefinitionsInvalid as invalid:
        typer.echo(str(invalid), err=True)
        count = len(invalid.problems)
        typer.echo("1 problem" if count == 1 else f"{count} problems", err=True)
        raise typer.Exit(FAILED) from None
    ran = failed = 0
    for ready in found:
        for outcome in run_cases(ready, limits, loaded.state.max_samples, chosen):
            ran += 1
            failed += not outcome.passed
            for line in report(outcome):
                typer.echo(line)
    typer.echo(f"{ran} case{'' if ran == 1 else 's'}, {failed} failed" if ran else "no cases")
    if failed or not ran:
        raise typer.Exit(FAILED)

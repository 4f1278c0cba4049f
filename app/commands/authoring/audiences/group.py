"""The commands of ``turnstile audiences``, in the order of its help."""

from __future__ import annotations

import typer

from app.commands.authoring.audiences import (
    apply,
    delete,
    estimate,
    held,
    members,
    read,
    rebuild,
    restore,
    versions,
)

cli = typer.Typer(
    help="Publish definitions, look at them, change them; the past is computed for each.",
    no_args_is_help=True,
)
cli.command()(apply.apply)
cli.command()(estimate.estimate)
cli.command("list")(read.list_audiences)
cli.command()(members.members)
cli.command()(versions.show)
cli.command()(versions.versions)
cli.command()(restore.restore)
cli.command()(rebuild.rebuild)
cli.command()(held.release)
cli.command("take-back")(restore.take_back)
cli.command()(delete.delete)

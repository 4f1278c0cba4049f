"""Asking before something is done."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from typing import NoReturn

Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]

NOT_DONE = 1
"""Exit code after a no."""


def ask(question: str, yes: bool, instead: str = "--yes does it without a question") -> None:
    """Go on after a yes, or where ``yes`` was given before; end the command otherwise.

    Only ``y`` and ``yes`` are a yes. The question goes to standard error, so that standard output can be
    piped. Raises CommandFailed where nobody can be asked, because standard input or error is no terminal;
    ``instead`` says what to do there.
    """
    from app.failures import CommandFailed

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed(f"nothing was done, because nobody can be asked: this is no terminal; {instead}")
    # Ctrl-C ends the process at once. Python's own handler only takes note of a Ctrl-C that comes just before
    # the read, and that of asyncio.run cancels a task which isn't run until the answer is there.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    signal.signal(signal.SIGINT, before)
    if answer.strip().lower() not in ("y", "yes"):
        if not answer.endswith("\n"):
            typer.echo(err=True)
        _stop()


def _stop() -> NoReturn:
    typer.echo("nothing was done", err=True)
    raise typer.Exit(NOT_DONE)

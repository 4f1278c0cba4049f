"""``turnstile schema``: the language of definitions as a JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.failures import CommandFailed


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to a file, not to standard output.")
    ] = None,
) -> None:
    """Print a JSON Schema of definitions, with which editors complete and check them."""
    import json

    from rules.write.schema import definitions_schema

    text = json.dumps(definitions_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"--out: {out} can't be written: {error.strerror}") from None

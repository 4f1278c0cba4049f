"""``turnstile bench``: the benchmarks."""

from __future__ import annotations

import typer

TAKES_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""For typer: whatever follows belongs to the benchmarks, ``--help`` too."""


def bench(context: typer.Context) -> None:
    """Run the benchmarks; their own --help tells more."""
    from importlib import import_module
    from importlib.util import find_spec

    from app.failures import CommandFailed

    if find_spec("bench") is None:  # as in the image, where nobody measures
        raise CommandFailed("this installation is without the benchmarks; run `make bench` in a checkout")
    import_module("bench.command").app(context.args, prog_name="turnstile bench")

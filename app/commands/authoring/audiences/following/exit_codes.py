"""With which codes ``turnstile audiences …`` ends, besides those of all commands (``app.failures``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

DIFFERENCES: Final = 2
"""A dry run, or a look at the plan, found something to do."""
DRY_RUN_FAILED: Final = 1
"""A dry run couldn't be done: 2 has another meaning there."""
NOT_READY: Final = 3
"""It is published, but not all of it is ready: held, failed, overtaken, no worker, or the time was over."""


@contextmanager
def dry_run_failures(dry_run: bool) -> Iterator[None]:
    """Have a dry run that fails end with a code that doesn't say that there are differences."""
    from app.failures import message_for_users
    from app.shown_bytes import safe_lines

    try:
        yield
    except Exception as error:
        message = message_for_users(error) if dry_run else None
        if message is None:
            raise
        print(safe_lines(message), file=sys.stderr)
        raise typer.Exit(DRY_RUN_FAILED) from None

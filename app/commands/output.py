"""How commands print what they found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Rows of text with their columns aligned; what a terminal would obey is escaped."""
    from app.shown_bytes import safe

    rows = [list(map(safe, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

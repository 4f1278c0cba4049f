"""Results on the terminal and in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class Report:
    """What one command prints, and keeps for ``--json``."""

    console: Console
    json_file: Path | None = None
    kept: dict[str, object] = field(default_factory=dict)

    def say(self, text: str) -> None:
        self.console.print(text, style="dim", highlight=False)

    def facts(self, title: str, facts: Mapping[str, object]) -> None:
        """Names and values, one a line; kept under the title."""
        self.kept[title] = dict(facts)
        width = max(map(len, facts))
        self.console.print(title, style="bold", highlight=False)
        for name, value in facts.items():
            self.console.print(f"  {name:{width}}  {value}", highlight=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left", title_style="bold")
        for at, column in enumerate(columns):
            table.add_column(column, justify="left" if at == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def keep(self, name: str, value: object) -> None:
        self.kept[name] = value

    def save(self) -> None:
        if self.json_file is not None:
            self.json_file.write_text(json.dumps(self.kept, indent=2, default=str) + "\n")


def middle(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """The median, and the range when there is more than one value."""
    shown = form.format(median(values))
    if len(values) < 2:
        return shown
    return f"{shown} ({form.format(min(values))} to {form.format(max(values))})"


def mebibytes(number_bytes: float) -> str:
    return f"{number_bytes / 2**20:,.0f} MiB"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """The curve of ``values`` from zero up, in at most ``width`` characters (the highest of each stretch)."""
    if not values:
        return ""
    count = min(width, len(values))
    parts = [values[at * len(values) // count : (at + 1) * len(values) // count] for at in range(count)]
    tops = [max(part) for part in parts]
    highest = max(tops) or 1.0
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(top / highest * len(BLOCKS)))] for top in tops)

"""Write the generated parts of documentation and chart once more: ``python docs/generate.py``.

With ``--check`` nothing is written, and the exit code is 1 when something would be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import chart_values
import settings_reference

from app.asyncapi.reference import TABLES
from rules.write.reference import fill

LANGUAGE, CONTRACTS = (Path(__file__).with_name(name) for name in ("language.md", "contracts.md"))


def generated() -> Iterator[tuple[Path, str]]:
    """Each file with generated parts, and what it should hold."""
    yield LANGUAGE, fill(LANGUAGE.read_text(encoding="utf-8"))
    yield CONTRACTS, fill(CONTRACTS.read_text(encoding="utf-8"), TABLES)
    yield from settings_reference.generated()
    yield from chart_values.generated()


if __name__ == "__main__":
    check = sys.argv[1:] == ["--check"]
    stale = False
    for page, after in generated():
        is_current = page.read_text(encoding="utf-8") == after
        if not check:
            page.write_text(after, encoding="utf-8")
        stale |= not is_current
        told = "as it was" if is_current else "not current: make docs" if check else "written"
        print(f"{page.name}: {told}")
    sys.exit(check and stale)

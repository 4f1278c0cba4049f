"""Write the generated tables of the documentation anew: ``python docs/generate.py``."""

from __future__ import annotations

from pathlib import Path

from rules.reference import fill

PAGES = (Path(__file__).with_name("language.md"),)

if __name__ == "__main__":
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = fill(before)
        page.write_text(after, encoding="utf-8")
        print(f"{page.name}: {'as it was' if after == before else 'written'}")

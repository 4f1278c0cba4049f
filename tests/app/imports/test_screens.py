"""How far an import is: a bar on a terminal, otherwise a line when it takes long."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from app.imports import screens
from app.imports.importer import BYTES, RECORDS
from app.imports.screens import Bar, Lines, screen

MIB = 1024 * 1024


def test_without_a_terminal_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with screen() as (lines, console):
        assert isinstance(lines, Lines)
        lines.begin("reading", 10 * MIB, BYTES)
        lines.add(MIB)
        assert capsys.readouterr().err == "", "it doesn't take long yet"
        monkeypatch.setattr(screens, "LINE_SECONDS", 0.0)
        lines.add(MIB + 5)
        lines.end()
        lines.begin("writing", 12_345, RECORDS)
        lines.add(2_345)
        console.print("a line beside it")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:2] == ["reading: 2MiB of 10MiB", "writing: 2,345 of 12,345 records"]


@pytest.mark.parametrize(("unit", "told"), [(BYTES, "1.0/2.0"), (RECORDS, "1048576/2097152")])
def test_on_a_terminal_there_is_a_bar(unit: str, told: str) -> None:
    file = io.StringIO()
    bar = Bar(Console(file=file, force_terminal=True, width=120, markup=False))
    bar.add(1)
    bar.begin("sorting", 2 * MIB, unit)
    bar.add(MIB)
    bar.begin("sorting", 2 * MIB, unit)
    bar.add(MIB)
    bar.end()
    bar.close()
    assert "sorting" in file.getvalue()
    assert told in file.getvalue()

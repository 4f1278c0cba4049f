from __future__ import annotations

from pathlib import Path

import pytest

from app.publish.files import load_audiences, read_definition_files
from rules.parse.problems import DefinitionsInvalid


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "deep/a.json", "deep/c.YML", ".hidden.yaml", ".git/d.yaml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_a_folder_gives_its_definition_files_in_order(folder: Path) -> None:
    texts, problems = read_definition_files([Path(".")])
    assert texts == [(name, name) for name in ("b.yaml", "deep/a.json", "deep/c.YML")]
    assert problems == []


def test_a_named_file_may_have_any_name_and_is_read_once(folder: Path) -> None:
    texts, _ = read_definition_files([Path("notes.txt"), folder / "b.yaml", Path("deep/../b.yaml"), folder])
    assert [name for name, _ in texts] == ["notes.txt", "b.yaml", "deep/a.json", "deep/c.YML"]


def test_a_file_elsewhere_keeps_the_name_it_was_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "deep")
    assert read_definition_files([Path("../b.yaml")])[0] == [("../b.yaml", "b.yaml")]


def test_all_files_that_cannot_be_read_are_told_with_all_other_problems(folder: Path) -> None:
    (folder / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (folder / "empty").mkdir()
    paths = [Path(name) for name in ("none.yaml", "latin.yaml", "empty", "b.yaml")]
    with pytest.raises(DefinitionsInvalid) as caught:
        load_audiences(paths)
    assert [(problem.code, str(problem)) for problem in caught.value.problems] == [
        ("wrong_type", "b.yaml:1:1: a definition must be a map, not the text 'b.yaml'"),
        ("no_definitions", "empty:1:1: no definition in this folder (.json, .yaml, .yml)"),
        ("not_utf8", "latin.yaml:1:1: not UTF-8: invalid continuation byte at byte 9"),
        ("unreadable", "none.yaml:1:1: can't be read: No such file or directory"),
    ]

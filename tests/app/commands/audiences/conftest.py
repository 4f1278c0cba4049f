from __future__ import annotations

from pathlib import Path

import pytest

from app.main import main
from tests.app.commands.audiences.shell import TWO, Told


@pytest.fixture
def told(
    broker: str,
    topic_prefix: str,
    tmp_path: Path,  # before its base is named for another account
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Told:
    """Runs ``turnstile audiences``: exit code, lines of standard output and of standard error."""
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)
    monkeypatch.setenv("TURNSTILE_WORKER__APP_ID", topic_prefix)
    monkeypatch.setenv("TURNSTILE_LOGS__LEVEL", "error")
    monkeypatch.setenv("TURNSTILE_TOPICS__EVENTS", f"{topic_prefix}.events")
    monkeypatch.setenv("LOGNAME", "ann")

    def run(*arguments: str) -> tuple[object, list[str], list[str]]:
        with pytest.raises(SystemExit) as caught:
            main(["audiences", *arguments])
        out, err = capsys.readouterr()
        return caught.value.code or 0, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "audiences.yaml"
    made.write_text(TWO)
    return made

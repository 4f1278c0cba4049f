"""``turnstile audiences apply`` as a process of its own: it asks on a terminal, draws bars, obeys Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.commands.terminal import Terminal
from tests.stage.workers import COMMAND, environment

KEEN = "{id: keen, name: Keen, rule: {event: view}}"
SECONDS = 60


@pytest.fixture
def env(broker: str, topic_prefix: str) -> dict[str, str]:
    return environment(
        {"kafka.bootstrap": broker, "topics.prefix": topic_prefix, "worker.app_id": topic_prefix}
    )


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "keen.yaml").write_text(KEEN)
    return ["audiences", "apply", "--no-estimate", str(tmp_path / "keen.yaml")]


@pytest.fixture
def terminal(env: dict[str, str], arguments: list[str]) -> Iterator[Terminal]:
    made = Terminal(arguments, env)
    yield made
    made.close()


def listed(env: dict[str, str]) -> str:
    return subprocess.run(
        [*COMMAND, "audiences", "list"], env=env, capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout


@pytest.mark.parametrize("answer", ["\n", "n\n", "yess\n", "\x04"])
def test_only_a_yes_publishes(terminal: Terminal, env: dict[str, str], answer: str) -> None:
    terminal.read_until("Publish this? [y/N] ")
    assert "will create default/keen" in terminal.text
    terminal.type(answer)
    assert terminal.end() == 1
    assert "nothing was done" in terminal.text
    assert listed(env) == "no audience is published\n"


def test_after_a_yes_a_bar_is_drawn_until_ctrl_c(terminal: Terminal, env: dict[str, str]) -> None:
    terminal.read_until("Publish this? [y/N] ")
    terminal.type("y\n")
    terminal.read_until("created default/keen, version 1")
    terminal.read_until("waits for its turn")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() in (130, -signal.SIGINT)
    assert "stopped waiting: what was published stays" in terminal.text
    assert "Traceback" not in terminal.text
    assert "keen" in listed(env)


def test_ctrl_c_at_the_question_publishes_nothing(terminal: Terminal, env: dict[str, str]) -> None:
    terminal.read_until("Publish this? [y/N] ")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() in (130, -signal.SIGINT)
    assert "Traceback" not in terminal.text
    assert listed(env) == "no audience is published\n"


def test_what_was_published_while_somebody_thought_is_not_overwritten(
    terminal: Terminal, env: dict[str, str], arguments: list[str], tmp_path: Path
) -> None:
    terminal.read_until("Publish this? [y/N] ")
    other = [*COMMAND, *arguments, "--yes", "--no-wait"]
    assert subprocess.run(other, env=env, capture_output=True, timeout=SECONDS).returncode == 0
    terminal.type("y\n")
    assert terminal.end() == 2
    assert "it was changed meanwhile" in terminal.text

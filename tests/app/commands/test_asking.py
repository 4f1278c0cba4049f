"""A question on a terminal."""

from __future__ import annotations

import signal
from contextlib import closing

from tests.app.commands.terminal import Terminal
from tests.stage.workers import environment


def test_one_ctrl_c_at_a_question_ends_the_command_though_it_holds_connections(
    broker: str, topic_prefix: str
) -> None:
    env = environment({"kafka.bootstrap": broker, "topics.prefix": topic_prefix, "topics.create": "true"})
    with closing(Terminal(["topics", "apply"], env)) as terminal:
        terminal.read_until("Do this? [y/N] ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == -signal.SIGINT
        assert "Traceback" not in terminal.text

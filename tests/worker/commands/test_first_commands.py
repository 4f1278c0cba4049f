"""Commands on a cluster on which nothing of ours was ever made."""

from __future__ import annotations

import subprocess
import sys

from tests.stage.workers import environment


def turnstile(broker: str, prefix: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and standard error of a command that nobody answers when it asks."""
    env = environment({"kafka.bootstrap": broker, "topics.prefix": prefix, "topics.create": "true"})
    program = [sys.executable, "-c", "from app.main import main; main()", *arguments]
    ran = subprocess.run(
        program, capture_output=True, text=True, timeout=60, env=env, stdin=subprocess.DEVNULL
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_the_status_of_no_destinations_is_said_in_words(broker: str, topic_prefix: str) -> None:
    code, out, error = turnstile(broker, topic_prefix, "deliver", "status")
    assert (code, out) == (0, "no destination is published\n"), error


def test_topics_are_not_made_when_nobody_says_yes(broker: str, topic_prefix: str) -> None:
    code, out, error = turnstile(broker, topic_prefix, "topics", "apply")
    assert code == 2
    assert f"make  {topic_prefix}.events " in out
    assert "nothing was done, because nobody answered; --yes doesn't ask" in error
    code, out, error = turnstile(broker, topic_prefix, "topics", "check")
    assert code == 1
    assert f"wrong: {topic_prefix}.rekeyed does not exist. It holds records on their way" in out

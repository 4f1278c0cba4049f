"""Commands on a cluster on which nothing of ours was ever made."""

from __future__ import annotations

from pathlib import Path

from tests.stage.commands import run
from tests.stage.workers import environment


def turnstile(broker: str, prefix: str, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, output and standard error of a command that nobody answers when it asks."""
    env = environment(
        {"kafka.bootstrap": broker, "topics.prefix": prefix, "topics.create": "true"}
        | {name.replace("__", "."): value for name, value in settings.items()}
    )
    ran = run(*arguments, given=env)
    return ran.returncode, ran.stdout, ran.stderr


def test_the_status_of_no_destinations_is_said_in_words(broker: str, topic_prefix: str) -> None:
    code, out, error = turnstile(broker, topic_prefix, "deliver", "status")
    assert (code, out) == (0, "no destination is published\n"), error


def test_topics_are_not_made_when_nobody_says_yes(broker: str, topic_prefix: str) -> None:
    code, out, error = turnstile(broker, topic_prefix, "topics", "apply")
    assert code == 2
    assert f"make  {topic_prefix}.events " in out
    assert "nothing was done, because nobody can be asked: this is no terminal; --yes does it" in error
    code, out, error = turnstile(broker, topic_prefix, "topics", "check")
    assert code == 1
    assert f"wrong: {topic_prefix}.rekeyed does not exist. It holds records on their way" in out


def test_a_missing_input_topic_is_named_as_the_reason_why_no_topic_is_made(
    broker: str, topic_prefix: str
) -> None:
    code, out, _ = turnstile(broker, topic_prefix, "topics", "apply", "--yes", topics__create="false")
    assert code == 1
    assert out.startswith(
        f"no topic is made while input topics (topics.events) are missing: {topic_prefix}.events\n"
    )
    assert "nothing to make" not in out


def test_where_no_delivery_worker_answers_the_state_of_a_destination_is_unknown(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    """It may well run on another machine."""
    turnstile(broker, topic_prefix, "topics", "apply", "--yes")
    file = tmp_path / "crm.yaml"
    file.write_text("{name: crm, kind: webhook, webhook: {url: https://crm.example/}}")
    code, out, error = turnstile(broker, topic_prefix, "destinations", "apply", str(file))
    assert code == 0, error
    code, out, error = turnstile(broker, topic_prefix, "deliver", "status", deliver__port="1")
    assert code == 0, error
    assert out.splitlines()[1].split()[:3] == ["crm", "webhook", "unknown"]
    assert "no delivery worker answers at http://127.0.0.1:1 (deliver.host, deliver.port)" in error

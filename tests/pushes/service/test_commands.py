"""``turnstile push`` without a worker: what is published is listed, what is asked for waits in the ledger."""

from __future__ import annotations

from pathlib import Path

from tests.worker.commands.test_first_commands import turnstile

CONNECTION = "{name: own, kind: kafka, kafka: {}}\n"
AUDIENCE = "{id: buyers, name: Buyers, rule: {event: purchase}}\n"
PUSH = """
name: nightly
audience: buyers
connection: own
schedule: daily
content: {format: kafka}
target: {topic: lists}
"""


def test_what_is_published_is_listed_and_a_deleted_push_can_be_asked_for_nothing(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    def told(*arguments: str) -> tuple[int, str, str]:
        return turnstile(broker, topic_prefix, *arguments)

    (tmp_path / "c.yaml").write_text(CONNECTION)
    (tmp_path / "a.yaml").write_text(AUDIENCE)
    (tmp_path / "p.yaml").write_text(PUSH)
    code, _, error = told("push", "apply", str(tmp_path / "p.yaml"))
    assert (code, "p.yaml:4:13: project 'default' has no connection 'own'" in error) == (2, True)
    assert "p.yaml:3:11: project 'default' has no audience 'buyers': none is published" in error
    assert told("connections", "apply", str(tmp_path / "c.yaml"))[0] == 0
    assert told("audiences", "apply", "--no-wait", "--yes", str(tmp_path / "a.yaml"))[0] == 0
    own = PUSH.replace("buyers", "buyer").replace("lists", f"{topic_prefix}.transitions")
    (tmp_path / "q.yaml").write_text(own)
    code, _, error = told("push", "apply", str(tmp_path / "q.yaml"))
    assert (code, "q.yaml:3:11: project 'default' has no audience 'buyer'; did you mean" in error) == (
        2,
        True,
    )
    assert "q.yaml:7:9: target.topic: the topic" in error
    assert "is one of Turnstile's own" in error
    code, out, error = told("push", "apply", str(tmp_path / "p.yaml"))
    assert (code, out.split()) == (0, ["created", "default/nightly", "version", "1"]), error
    assert "unchanged" in told("push", "apply", str(tmp_path / "p.yaml"))[1]
    code, out, _ = told("push", "list")
    assert (code, "next 2" in out, "no run" in out) == (0, True, True)
    code, out, _ = told("push", "run", "nightly")
    assert (code, out.startswith("asked for run ")) == (0, True)
    assert told("push", "history")[1] == "there was no run\n"
    code, _, error = told("push", "run", "nightli")
    assert (code, "did you mean 'nightly'?" in error) == (2, True)
    code, _, error = told("push", "cancel", "lost")
    assert (code, "there is no run 'lost'" in error) == (2, True)
    assert told("push", "delete", "nightly")[0] == 0
    assert told("push", "list")[1] == "no push is published\n"
    assert told("push", "run", "nightly")[0] == 2

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
STORE = "{name: store, kind: object_store, object_store: {url: 's3://lists', region: eu-west-1}}\n"
BACK = """
name: back
audience: buyers
connection: store
content: {ids: [maiscrm_id], attributes: [social.level]}
target: {profile: social_interaction}
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


def test_attributes_that_came_from_a_system_arent_pushed_back_there(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(STORE)
    (tmp_path / "p.yaml").write_text(BACK)
    (tmp_path / "a.yaml").write_text(AUDIENCE)
    assert turnstile(broker, topic_prefix, "connections", "apply", str(tmp_path / "c.yaml"))[0] == 0
    given = "--no-wait", "--yes", str(tmp_path / "a.yaml")
    assert turnstile(broker, topic_prefix, "audiences", "apply", *given)[0] == 0
    apply = "push", "apply", "--dry-run", str(tmp_path / "p.yaml")
    assert turnstile(broker, topic_prefix, *apply)[0] == 0
    origins = "social.level=social_interaction"
    code, _, error = turnstile(broker, topic_prefix, *apply, pushes__origins=origins)
    assert (code, "social.level came from Social Interaction, so it isn't pushed back" in error) == (2, True)

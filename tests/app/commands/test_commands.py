from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from typer.testing import CliRunner

from agents.deliver.definitions.parse import load_destinations
from agents.deliver.definitions.published import PublishedDestination, group_of
from agents.evaluate.native.core import native_core
from app.cli import cli
from app.commands.operating.dlq import _lines as letter_lines
from app.deliver.replay import replay_group
from app.dlq.letters import KeptLetter
from app.main import main
from app.settings.tree import SettingsInvalid, load_settings
from tests import ROOT

RUN = CliRunner()
GOOD = "id: one\nname: One\nrule: {event: a}\n"
ALL = (
    "demo",
    "worker",
    "check",
    "schema",
    "simulate",
    "test",
    "lookup",
    "explain",
    "audiences",
    "destinations",
    "deliver",
    "topics",
    "topology",
    "settings",
    "bench",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """(exit code, standard error) of a command."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code, capsys.readouterr().err


def test_help_lists_every_command() -> None:
    out = RUN.invoke(cli, ["--help"]).stdout
    assert all(f" {name} " in out for name in ALL)


def test_the_command_line_starts_without_faust_kafka_and_settings() -> None:
    heavy = ("faust", "aiokafka", "aiohttp", "rocksdict", "structlog", "pydantic", "app.settings.tree")
    code = f"import sys, app.cli; print([name for name in {heavy!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout == "[]\n"


def test_check_tells_every_error_with_its_place(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD)
    (folder / "bad.yaml").write_text("id: two\nname: One\nrule: {audience: one, fro: 1h}\n")
    (folder / "worse.json").write_text('{"id": "one", "name": "One", "rule": {"event": "b"}}')
    result = RUN.invoke(cli, ["check", ".", "gone.yaml"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "bad.yaml:3:23: unknown key 'fro' (at rule.fro) - did you mean 'for'? allowed: audience, for",
        "gone.yaml:1:1: can't be read: No such file or directory",
        "worse.json:1:8: id 'one' is taken in project 'default' (at id) - first used at good.yaml:1:5",
        "3 problems",
    ]


def test_check_says_that_it_looked_at_the_files_alone(folder: Path) -> None:
    (folder / "of.yaml").write_text("id: two\nname: Two\nrule: {audience: elsewhere}\n")
    result = RUN.invoke(cli, ["check", "of.yaml"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "of.yaml:3:18: two -> elsewhere: audience 'elsewhere' doesn't exist in project 'default'"
        " (at rule.audience) - this project has no other audience",
        "1 problem; published audiences were not looked at; --published checks them, too",
    ]


def test_check_is_content_with_good_definitions(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD)
    result = RUN.invoke(cli, ["check", "good.yaml"])
    assert (result.exit_code, result.stdout) == (0, "1 audience, no problem\n")


def test_check_obeys_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "big.yaml").write_text("id: one\nname: One\nrule: {event: a, count: {gte: 30}, within: 1h}\n")
    monkeypatch.setenv("TURNSTILE_STATE__MAX_SAMPLES", "20")
    assert RUN.invoke(cli, ["check", "big.yaml"]).exit_code == 1


def test_an_audience_that_names_no_time_zone_has_its_projects(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cases.yaml").write_text(
        """
audiences: [{id: today, name: Today, project: shop, rule: {event: a, period: today}}]
cases:
  - name: the day ends at sixteen hours UTC
    events: [{at: +0, event: a}]
    transitions: [{at: +0, enter: today, exit_at: +16h}, {at: +16h, exit: today}]
"""
    )
    assert RUN.invoke(cli, ["test", "cases.yaml"]).exit_code == 1
    monkeypatch.setenv("TURNSTILE_PROJECTS__TIMEZONES", "other=UTC,shop=Asia/Shanghai")
    assert RUN.invoke(cli, ["test", "cases.yaml"]).exit_code == 0


@pytest.mark.parametrize("wrong", ["shop", "shop=Asia/Shangai", "a=UTC,a=UTC", "sh op=UTC"])
def test_a_projects_time_zone_is_one_that_there_is(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_PROJECTS__TIMEZONES", wrong)
    with pytest.raises(SettingsInvalid, match="must be PROJECT=ZONE"):
        load_settings()


def test_wrong_settings_end_a_command_with_code_2_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNSTILE_HTTP__PORT", "x")
    head = "1 setting can't be used:\n"
    told = f"{head}  http.port = 'x' (TURNSTILE_HTTP__PORT): must be a whole number from 0 to 65535\n"
    for command in (["settings"], ["worker"], ["topology"], ["audiences", "list"]):
        assert ended(command, capsys) == (2, told)


def test_wrong_definitions_end_simulate_with_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.yaml").write_text("id: one\n")
    (folder / "events").write_text("")
    code, told = ended(["simulate", "--audiences", "bad.yaml", "--events", "events"], capsys)
    assert (code, told.splitlines()) == (
        2,
        ["bad.yaml:1:1: a definition needs 'name'", "bad.yaml:1:1: a definition needs 'rule'"],
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--events", "none"], "--events: none can't be read: No such file or directory"),
        (["--events", "events", "--out", "events"], "--out: events is the file that --events reads"),
        (["--events", "events", "--out", "."], "--out: . can't be written: Is a directory"),
        (["--events", "events", "--until", "noon"], "--until: 'noon' is not an RFC 3339 instant"),
        (["--events", "events", "--engine", "rust"], "--engine must be auto, native or python"),
    ],
)
def test_simulate_says_which_option_it_cannot_use(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    (folder / "good.yaml").write_text(GOOD)
    (folder / "events").write_text("{}")
    assert ended(["simulate", "--audiences", "good.yaml", *arguments], capsys) == (2, f"{told}\n")
    assert (folder / "events").read_text() == "{}"


def test_ctrl_c_before_a_command_is_imported_ends_without_a_traceback() -> None:
    code = """
import os, signal, sys

class Slow:
    def find_spec(self, name, *rest):
        if name == "app.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Slow())
from app.main import main
main(["settings"])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("command", [["audiences", "list"], ["worker"]])
def test_a_broker_that_does_not_answer_is_named(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    program = [sys.executable, "-c", "from app.main import main; main()", *command]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    result = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        "Kafka can't be reached at 127.0.0.1:1 (kafka.bootstrap): no broker answers there"
    )
    assert "Traceback" not in result.stderr


def test_something_else_than_a_broker_is_told_from_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_each() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=close_each, daemon=True).start()
        bootstrap = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", bootstrap)
        assert ended(["audiences", "list"], capsys) == (
            2,
            f"Kafka can't be reached at {bootstrap} (kafka.bootstrap): something listens there, but doesn't "
            "answer as brokers do with kafka.security_protocol PLAINTEXT\n",
        )
        server.shutdown(socket.SHUT_RDWR)


def test_a_definition_comes_through_standard_input_too() -> None:
    good = RUN.invoke(cli, ["check", "-"], input=GOOD.replace("\n", "\r\n"))
    assert (good.exit_code, good.stdout) == (0, "1 audience, no problem\n")
    assert "<stdin>:1:1: " in RUN.invoke(cli, ["check", "-"], input="idd: one\n").stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["deliver", "test", "crm", "--event", "left"], "--event must be enter or exit, got 'left'"),
        (
            ["topics", "print", "--destination", "a b"],
            "--destination 'a b': a name has 1 to 64 of A-Z a-z 0-9 _ -",
        ),
    ],
)
def test_an_option_that_is_wrong_is_named_with_what_it_may_be(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(arguments, capsys) == (2, f"{told}\n")


def test_a_letter_without_a_record_behind_it_shows_the_topic_alone() -> None:
    headers: dict[str, bytes | None] = {
        "source.topic": b"shop.transitions",
        "source.partition": b"0",
        "source.offset": b"-1",
    }
    record = ConsumerRecord("d", 0, 7, 1, 0, b"u", b"v", None, 1, 1, tuple(headers.items()))
    assert "  from     shop.transitions" in list(letter_lines("d", KeptLetter(record, headers)))


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("app.publish.files.parse_definition_files", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["check", "x.yaml"])


def test_settings_prints_the_tree() -> None:
    out = RUN.invoke(cli, ["settings"]).stdout
    assert out.startswith("kafka:\n  bootstrap: localhost:9092  # default\n")


def test_topology_names_every_topic_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", "shop")
    monkeypatch.setenv("TURNSTILE_TOPICS__EVENTS", "web,app")
    monkeypatch.setenv("TURNSTILE_WORKER__APP_ID", "seg")
    topics = ["web", "app", "shop.rekeyed", "shop.audiences", "shop.transitions", "web.dlq", "app.dlq"]
    topics += [
        "shop.rekeyed.dlq",
        "shop.transitions.dlq",
        "shop.keys",
        "shop.history",
        "shop.imports",
        "shop.audit",
    ]
    text = RUN.invoke(cli, ["topology"]).stdout
    assert [" ".join(each.split()) for each in text.splitlines()[2:8]] == [
        "agent definitions: holds all definitions, in every worker",
        "├─ <- topic shop.audiences definitions (compacted, key project/audience/version: definitions)",
        "├─ <- topic shop.destinations which events go to destinations (compacted, key name: destinations)",
        "├─ <- topic shop.erasures who was erased (compacted, key pseudonym: receipts of erasures)",
        "├─ <- topic shop.progress which versions are ready "
        "(compacted, key project/audience/version/partition: how far new versions are)",
        "└─ -> agent evaluate compiled rules (decides who enters and leaves; consumer group seg)",
    ]
    mermaid = RUN.invoke(cli, ["topology", "--mermaid"]).stdout
    assert mermaid.startswith("flowchart LR\n")
    for topic in [*topics, "seg-profiles-changelog"]:
        assert f"topic {topic} " in text
        assert f'[/"{topic}"/]' in mermaid


def test_topology_shows_what_delivery_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", "shop")
    monkeypatch.setenv("TURNSTILE_WORKER__APP_ID", "seg")
    text = RUN.invoke(cli, ["topology"]).stdout
    (deliver,) = [each for each in text.split("\n\n") if each.startswith("agent deliver:")]
    head, *branches = deliver.splitlines()
    assert head.endswith("consumer group shop.deliver.NAME")
    assert [branch.split("  ")[0].strip("├└─ ") for branch in branches] == [
        "<- topic shop.destinations",
        "<- topic shop.connections",
        "<- topic seg-profiles-changelog",
        "<- topic shop.audiences",
        "<- topic shop.transitions",
        "<- table profiles",
        "<- topic shop.deliver.NAME.dlq",
        "-> receivers",
        "-> topic shop.deliver.NAME.dlq",
    ]
    parts = [line.strip() for line in RUN.invoke(cli, ["topology", "--mermaid"]).stdout.splitlines()]
    assert len(parts) == len(set(parts))
    for part in ('[["deliver"]]', '(["turnstile destinations"])', '[/"shop.destinations"/]'):
        assert sum(line.endswith(part) for line in parts) == 1


def test_topology_names_the_group_and_topics_that_delivery_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", "shop")
    (crm,) = load_destinations([("crm.yaml", "{name: NAME, kind: webhook, webhook: {url: 'https://c.rm'}}")])
    text = RUN.invoke(cli, ["topology"]).stdout
    group = group_of("shop", PublishedDestination(crm, 1))
    assert f"consumer group {group}\n" in text
    assert f"group {replay_group('shop', PublishedDestination(crm, 1))}  " in text


def test_a_worker_that_must_use_the_core_does_not_start_without_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "turnstile_core", None)
    native_core.cache_clear()
    monkeypatch.setenv("TURNSTILE_WORKER__ENGINE", "native")
    code, told = ended(["worker"], capsys)
    native_core.cache_clear()
    assert code == 2
    assert "the native core isn't built; make core builds it where cargo is" in told

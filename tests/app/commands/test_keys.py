"""``turnstile keys`` where no broker is needed: what is printed where, and what is refused."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from app.commands.operating import keys
from app.failures import CommandFailed
from app.http.api_keys import digest_of, new_key
from app.main import main
from app.settings.tree import load_settings


def test_the_entry_for_the_settings_and_the_key_come_out_apart() -> None:
    done = CliRunner().invoke(
        keys.cli, ["create", "root", "--scope", "admin", "--scope", "lookup", "--project", "*", "--no-topic"]
    )
    assert done.exit_code == 0, done.output
    key, entry = done.stderr.strip(), json.loads(done.stdout)
    assert entry == {
        "name": "root",
        "sha256": digest_of(key),
        "scopes": ["admin", "lookup"],
        "projects": ["*"],
    }
    given = {"TURNSTILE_HTTP__API_KEYS": f"[{done.stdout}]", "TURNSTILE_HTTP__HOST": "0.0.0.0"}
    assert load_settings(environ=given).http.api_keys[0].name == "root"


def test_keys_have_256_random_bits() -> None:
    made = {new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(each) for each in made} == {4 + 43}  # six bits a character


def test_all_that_is_wrong_is_told_at_once() -> None:
    arguments = ["create", "a b", "--scope", "lokup", "--project", "", "--expires", "yesterday"]
    done = CliRunner().invoke(keys.cli, arguments)
    assert isinstance(done.exception, CommandFailed)
    told = str(done.exception).splitlines()
    assert [line.partition(" ")[0] for line in told] == ["NAME", "--scope", "--project", "--expires"]
    assert "did you mean 'lookup'?" in told[1]


@pytest.mark.parametrize(
    ("text", "wanted_ms"),
    [
        ("90d", 90 * 86_400_000 + 1_000_000),
        ("1970-01-01T01:00:00Z", 3_600_000),
        ("1970-01-01T01:00:00+01:00", None),
        ("1970-01-01T01:00:00", None),
        ("5", None),
        ("", None),
        ("-1d", None),
    ],
)
def test_keys_end_after_a_time_or_at_an_instant(text: str, wanted_ms: int | None) -> None:
    if wanted_ms is None:
        with pytest.raises(CommandFailed, match="--expires must be"):
            keys._record("k", "0" * 64, ["lookup"], ["a"], text, 1_000_000)
    else:
        assert keys._record("k", "0" * 64, ["lookup"], ["a"], text, 1_000_000).expires_ms == wanted_ms


def test_a_key_that_has_ended_is_listed_as_such() -> None:
    record = keys._record("k", "0" * 64, ["lookup"], ["a"], "1d", 0)
    assert keys._row("k", record, 1)[1] == "good"
    assert keys._row("k", record, int(time.time() * 1000))[1] == "expired"


@pytest.fixture
def on_broker(broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNSTILE_KAFKA__BOOTSTRAP", broker)
    monkeypatch.setenv("TURNSTILE_TOPICS__PREFIX", topic_prefix)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """Exit code, standard output and error of ``turnstile keys``."""
    with pytest.raises(SystemExit) as caught:
        main(["keys", *arguments])
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.usefixtures("on_broker")
def test_a_key_is_rotated_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    first = told(capsys, "create", "k", "--scope", "lookup", "--project", "shop")[1].strip()
    code, second, said = told(capsys, "rotate", "k", "--keep", "12h")
    assert code in (0, None)
    assert second.strip() not in ("", first)
    assert "the key before it is good until 20" in said
    listed = told(capsys, "list")[1]
    assert "projects: shop" in listed
    assert "the one before it until 20" in listed
    assert "no earlier key is good" in told(capsys, "rotate", "k", "--keep", "0s")[2]


@pytest.mark.usefixtures("on_broker")
def test_what_cannot_be_rotated_is_told_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "create", "dash", "--scope", "lookup")
    assert told(capsys, "rotate", "dsah")[2].startswith("there is no key 'dsah' on ")
    assert "did you mean 'dash'?" in told(capsys, "rotate", "dsah")[2]
    assert "`turnstile keys rotate dash`" in told(capsys, "create", "dash", "--scope", "lookup")[2]
    assert told(capsys, "rotate", "dash", "--keep", "x") == (
        2,
        "",
        "--keep must be a time such as 12h or 7d, or 0s, got 'x'\n",
    )
    told(capsys, "revoke", "dash")
    assert told(capsys, "rotate", "dash")[2] == (
        "key 'dash' is revoked; `turnstile keys create dash` makes a new one\n"
    )

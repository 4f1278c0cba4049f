"""``turnstile keys`` where no broker is needed: what is printed where, and what is refused."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from app.commands.operating import keys
from app.failures import CommandFailed
from app.http.api_keys import digest_of, new_key
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

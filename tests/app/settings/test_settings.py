from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from app.settings.sources import leaves, variable
from app.settings.text import as_yaml
from app.settings.tree import Settings, SettingsInvalid, load_settings, load_with_sources

KEY = {"name": "dashboard", "sha256": hashlib.sha256(b"key").hexdigest(), "scopes": ["lookup"]}


def wrong(environ: dict[str, str], text: str = "", folder: Path | None = None) -> list[str]:
    """The lines that tell what is wrong."""
    file = None
    if folder is not None:
        file = folder / "turnstile.yaml"
        file.write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(file, environ)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


def test_every_setting_has_a_default_and_a_description() -> None:
    settings = load_settings(environ={})
    assert settings.kafka.bootstrap == "localhost:9092"
    assert settings.topics.events == ("turnstile.events",)
    assert settings.cache.block_bytes == 256 * 1024**2
    assert all(field.description for _, field in leaves(Settings))


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_none(tmp_path: Path) -> None:
    file = tmp_path / "turnstile.yaml"
    file.write_text("topics: {prefix: file, partitions: 3}\nclock:\nworker: {id: pod-1}\n")
    environ = {
        "TURNSTILE_SETTINGS_FILE": str(file),
        "TURNSTILE_TOPICS__PREFIX": "env",
        "TURNSTILE_TOPICS__PARTITIONS": "",
        "TURNSTILE_TEST_KAFKA": "somewhere",
        "TURNSTILE_TEST_QUICK": "1",
        "TURNSTILE_CACHE": "/tmp",
        "PATH": "/bin",
    }
    settings = load_settings(environ=environ)
    assert (settings.topics.prefix, settings.topics.partitions, settings.worker.id) == ("env", 3, "pod-1")
    assert settings.topics.events == ("env.events",)


@pytest.mark.parametrize("given", ["a, b", '["a", "b"]'])
def test_a_list_in_a_variable_is_json_or_has_commas(given: str) -> None:
    assert load_settings(environ={"TURNSTILE_TOPICS__EVENTS": given}).topics.events == ("a", "b")


@pytest.mark.parametrize(
    ("given", "number"), [("1048576", 1024**2), ("2MiB", 2 * 1024**2), ("1 GiB", 1024**3)]
)
def test_sizes_have_units(given: str, number: int) -> None:
    assert load_settings(environ={"TURNSTILE_CACHE__BLOCK_BYTES": given}).cache.block_bytes == number


def test_all_that_is_wrong_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = """\
kafka:
  bootstrap: localhost
  securty_protocol: SSL
topic: {}
topics:
  partitions: 0
  events: [a, a]
worker: 5
cache: {block_bytes: 12MB, rows: true}
http:
  port: 80
  api_keys: [{name: x, sha256: hush, scopes: [read]}, {nam: y}]
"""
    environ = {
        "TURNSTILE_TOPIC__PREFIX": "x",
        "TURNSTILE_HTTP__PORT": "70000",
        "TURNSTILE_SERVICE_HOST": "10.0.0.1",
        "TURNSTILE_KAFKA__HEARTBEAT_INTERVAL_MS": "30000",
    }
    assert wrong(environ, text, tmp_path) == [
        "18 settings can't be used:",
        "  TURNSTILE_SERVICE_HOST: no setting; Kubernetes makes it for a service of that name: "
        "set enableServiceLinks to false",
        "  TURNSTILE_TOPIC__PREFIX: no setting; did you mean TURNSTILE_TOPICS__PREFIX?",
        "  cache.block_bytes = '12MB' (turnstile.yaml:9:22): must be bytes, such as 1048576, 512KiB, 256MiB "
        "or 2GiB, from 1MiB to 1024GiB",
        "  cache.rows = true (turnstile.yaml:9:34): must be a whole number from 1 to 1000000000",
        "  http.api_keys[0].scopes = 'read' (turnstile.yaml:12:13): must be a list of lookup, audiences, "
        "destinations, admin",
        "  http.api_keys[0].sha256 = ********** (turnstile.yaml:12:13): must be 64 hexadecimal digits "
        "(SHA-256 of the key)",
        "  http.api_keys[1].nam (turnstile.yaml:12:13): no setting; did you mean name?",
        "  http.api_keys[1].name (turnstile.yaml:12:13): is missing: must be text",
        "  http.api_keys[1].scopes (turnstile.yaml:12:13): is missing: "
        "must be a list of lookup, audiences, destinations, admin",
        "  http.api_keys[1].sha256 (turnstile.yaml:12:13): is missing: must be 64 hexadecimal digits "
        "(SHA-256 of the key)",
        "  http.port = '70000' (TURNSTILE_HTTP__PORT): must be a whole number from 0 to 65535",
        "  kafka.bootstrap = 'localhost' (turnstile.yaml:2:14): must be host:port, "
        "or several separated by commas",
        "  kafka.heartbeat_interval_ms = '30000' (TURNSTILE_KAFKA__HEARTBEAT_INTERVAL_MS): must be less "
        "than half of kafka.session_timeout_ms, which is 45000",
        "  kafka.securty_protocol (turnstile.yaml:3:3): no setting; did you mean kafka.security_protocol?",
        "  topic (turnstile.yaml:4:1): no setting; did you mean topics?",
        '  topics.events = ["a", "a"] (turnstile.yaml:7:11): must be one or more different topic names, '
        "each 1 to 245 of A-Z a-z 0-9 . _ -",
        "  topics.partitions = 0 (turnstile.yaml:6:15): must be a whole number from 1 to 10000",
        "  worker (turnstile.yaml:8:9): must be a map of settings, not the number 5",
    ]


KAFKA_TOKENS = {
    "TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "TURNSTILE_KAFKA__SASL_MECHANISM": "OAUTHBEARER",
    "TURNSTILE_KAFKA__OAUTH_TOKEN_URL": "https://login.example/token",
    "TURNSTILE_KAFKA__OAUTH_CLIENT_ID": "turnstile",
    "TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET": "hush",
}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"TURNSTILE_HTTP__HOST": "0.0.0.0"},
            "http.host = '0.0.0.0' (TURNSTILE_HTTP__HOST): without API keys only this machine may "
            "connect. Give keys (http.api_keys or http.api_keys_file; `turnstile keys create --no-topic` "
            "makes one), or listen on 127.0.0.1",
        ),
        (
            {"TURNSTILE_KAFKA__SASL_PASSWORD": "hush"},
            "kafka.sasl_password = ********** (TURNSTILE_KAFKA__SASL_PASSWORD): has no effect, because "
            "kafka.security_protocol is PLAINTEXT: SASL_SSL or SASL_PLAINTEXT?",
        ),
        (
            {
                "TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
                "TURNSTILE_KAFKA__SASL_MECHANISM": "PLAIN",
                "TURNSTILE_KAFKA__SASL_USERNAME": "me",
            },
            "kafka.sasl_password: must be given, because kafka.security_protocol is SASL_SSL",
        ),
        (
            {"TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SSL", "TURNSTILE_KAFKA__SSL_CAFILE": "/none"},
            "kafka.ssl_cafile = '/none' (TURNSTILE_KAFKA__SSL_CAFILE): there is no such file",
        ),
        (
            {**KAFKA_TOKENS, "TURNSTILE_KAFKA__OAUTH_TOKEN_URL": ""},
            "kafka.oauth_token_url: must be given, because kafka.sasl_mechanism is OAUTHBEARER",
        ),
        (
            {**KAFKA_TOKENS, "TURNSTILE_KAFKA__OAUTH_TOKEN_URL": "http://login.example/token"},
            "kafka.oauth_token_url = 'http://login.example/token' (TURNSTILE_KAFKA__OAUTH_TOKEN_URL): must "
            "be https://, because the client secret goes there; http:// is for this machine only",
        ),
        (
            {**KAFKA_TOKENS, "TURNSTILE_KAFKA__SASL_PASSWORD": "hush"},
            "kafka.sasl_password = ********** (TURNSTILE_KAFKA__SASL_PASSWORD): has no effect, because "
            "kafka.sasl_mechanism is OAUTHBEARER",
        ),
        (
            {"TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET": "hush"},
            "kafka.oauth_client_secret = ********** (TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET): has no effect, "
            "because kafka.security_protocol is PLAINTEXT: SASL_SSL or SASL_PLAINTEXT?",
        ),
        (
            {"TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SSL", "TURNSTILE_KAFKA__SSL_KEYFILE": __file__},
            f"kafka.ssl_keyfile = {__file__!r} (TURNSTILE_KAFKA__SSL_KEYFILE): has no effect without "
            "kafka.ssl_certfile",
        ),
        (
            {"TURNSTILE_KAFKA__SSL_CERTFILE": __file__},
            f"kafka.ssl_certfile = {__file__!r} (TURNSTILE_KAFKA__SSL_CERTFILE): has no effect, because "
            "kafka.security_protocol is PLAINTEXT: SSL or SASL_SSL?",
        ),
        (
            {"TURNSTILE_TOPICS__EVENTS": "a,a.dlq"},
            "topics.events = 'a,a.dlq' (TURNSTILE_TOPICS__EVENTS): the service itself writes a.dlq: "
            "it can't be an input",
        ),
        (
            {"TURNSTILE_TOPICS__HISTORY": "h,turnstile.rekeyed"},
            "topics.history = 'h,turnstile.rekeyed' (TURNSTILE_TOPICS__HISTORY): the service writes other "
            "records to turnstile.rekeyed: it can't hold history",
        ),
        (
            {"TURNSTILE_TOPICS__EVENTS": "a,b", "TURNSTILE_TOPICS__HISTORY": "b,c"},
            "topics.history = 'b,c' (TURNSTILE_TOPICS__HISTORY): b is one of topics.events already: its "
            "records are read from there",
        ),
        (
            {"TURNSTILE_PUSHES__ORIGINS": "social.level=social"},
            "pushes.origins = 'social.level=social' (TURNSTILE_PUSHES__ORIGINS): must be a list of "
            "ATTRIBUTE=SYSTEM, each attribute once; SYSTEM: data_bank, damengpan, social_interaction, "
            "retail_crm or media_placement",
        ),
        (
            {"TURNSTILE_PUSHES__PUBLIC_URL": "https://lists.example"},
            "pushes.public_url = 'https://lists.example' (TURNSTILE_PUSHES__PUBLIC_URL): needs "
            "pushes.confirmation_secret, too",
        ),
        (
            {"TURNSTILE_TOPICS__PREFIX": "a b"},
            "topics.prefix = 'a b' (TURNSTILE_TOPICS__PREFIX): must be 1 to 200 of A-Z a-z 0-9 . _ -",
        ),
        (
            {"TURNSTILE_HTTP__API_KEYS": "hush"},
            "http.api_keys = ********** (TURNSTILE_HTTP__API_KEYS): must be a list of {name, sha256, scopes, "
            "projects} (JSON in a variable)",
        ),
        (
            {"TURNSTILE_SETTINGS_FILE": "/none.yaml"},
            "/none.yaml: the settings file can't be read: No such file or directory",
        ),
        (
            {"TURNSTILE_KAFKA": "{}"},
            "TURNSTILE_KAFKA: no setting; did you mean TURNSTILE_KAFKA__BOOTSTRAP?",
        ),
    ],
)
def test_settings_that_disagree_or_are_none(environ: dict[str, str], told: str) -> None:
    assert wrong(environ) == ["1 setting can't be used:", f"  {told}"]


def test_history_topics_are_any_number(tmp_path: Path) -> None:
    assert load_settings(environ={"TURNSTILE_TOPICS__PREFIX": "shop"}).topics.history == ("shop.history",)
    assert load_settings(environ={"TURNSTILE_TOPICS__HISTORY": "a, b"}).topics.history == ("a", "b")
    file = tmp_path / "turnstile.yaml"
    file.write_text("topics: {history: []}")
    assert load_settings(file, {}).topics.history == ()


def test_a_setting_is_printed_with_its_remark() -> None:
    loaded = load_with_sources(environ={})
    lines = as_yaml(loaded, {"worker.engine": "the Python engine computes: so it is"}).splitlines()
    assert "  engine: auto  # default; the Python engine computes: so it is" in lines
    assert "  threads: null  # default" in lines


def test_a_file_that_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    assert wrong({}, "kafka: [", tmp_path)[1].startswith("  turnstile.yaml:1:9: not YAML: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert load_settings(environ={"TURNSTILE_HTTP__HOST": host}).http.host == host


def test_other_addresses_need_a_key() -> None:
    keys = load_settings(
        environ={"TURNSTILE_HTTP__HOST": "0.0.0.0", "TURNSTILE_HTTP__API_KEYS": json.dumps([KEY])}
    ).http.api_keys
    assert [(key.name, key.sha256, key.scopes) for key in keys] == [("dashboard", KEY["sha256"], ("lookup",))]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(environ={}).topics.prefix = "x"  # type: ignore[misc]


def test_what_is_printed_has_sources_masks_secrets_and_is_a_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "turnstile.yaml"
    file.write_text("worker: {id: '007'}\nrecords: {max_bytes: 3000}\n")
    environ = {
        "TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "TURNSTILE_KAFKA__SASL_MECHANISM": "PLAIN",
        "TURNSTILE_KAFKA__SASL_USERNAME": "yes",
        "TURNSTILE_KAFKA__SASL_PASSWORD": "hush",
        "TURNSTILE_HTTP__API_KEYS": json.dumps([KEY]),
    }
    loaded = load_with_sources(file, environ)
    text = as_yaml(loaded)
    lines = text.splitlines()
    assert "  bootstrap: localhost:9092  # default" in lines
    assert '  sasl_username: "yes"  # TURNSTILE_KAFKA__SASL_USERNAME' in lines
    assert '  sasl_password: "**********"  # TURNSTILE_KAFKA__SASL_PASSWORD' in lines
    assert f'  id: "007"  # {file}:1:14' in lines
    assert "  block_bytes: 256MiB  # default" in lines
    keys = '[{"name": "dashboard", "sha256": "**********", "scopes": ["lookup"], "projects": ["*"]}]'
    assert f"  api_keys: {keys}  # TURNSTILE_HTTP__API_KEYS" in lines
    assert "hush" not in text
    assert "hush" not in repr(loaded.settings)

    file.write_text(text.replace('"sha256": "**********"', f'"sha256": "{KEY["sha256"]}"'))
    again = load_settings(file, {"TURNSTILE_KAFKA__SASL_PASSWORD": "hush"})
    assert again == loaded.settings


def test_variables_are_named_after_settings() -> None:
    assert variable("kafka.session_timeout_ms") == "TURNSTILE_KAFKA__SESSION_TIMEOUT_MS"


def test_a_certificate_that_can_not_be_used_is_told_before_anything_starts() -> None:
    given = {"TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SSL", "TURNSTILE_KAFKA__SSL_CERTFILE": __file__}
    (_, told) = wrong(given)
    assert "(TURNSTILE_KAFKA__SSL_CERTFILE): can't be used with kafka.ssl_keyfile" in told

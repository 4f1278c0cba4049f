"""``turnstile topology --asyncapi``: valid AsyncAPI 3, as the settings are, and without secrets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from agents.topics.plan import Role, wanted_topics
from app.asyncapi.document import asyncapi_of
from app.cli import cli
from app.kafka.configured import plan_of
from app.settings.tree import Settings, load_settings

SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.schema.json.gz")
SECRET = "hunter2-secret"
NAME = "somebody"

SASL = {"TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}
ACCOUNT = {"TURNSTILE_KAFKA__SASL_USERNAME": NAME, "TURNSTILE_KAFKA__SASL_PASSWORD": SECRET}
TOKENS = {
    "TURNSTILE_KAFKA__SASL_MECHANISM": "OAUTHBEARER",
    "TURNSTILE_KAFKA__OAUTH_TOKEN_URL": "https://id.example.com/token",
    "TURNSTILE_KAFKA__OAUTH_CLIENT_ID": NAME,
    "TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET": SECRET,
}
CASES = {
    "as it comes": {},
    "several": {
        "TURNSTILE_KAFKA__BOOTSTRAP": "a:9092,b:9093",
        "TURNSTILE_TOPICS__EVENTS": "web,app",
        "TURNSTILE_TOPICS__PREFIX": "shop.eu",
        "TURNSTILE_TOPICS__PARTITIONS": "12",
        "TURNSTILE_TOPICS__REPLICATION": "3",
        "TURNSTILE_TOPICS__CREATE": "true",
    },
    "tls": {"TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SSL"},
    "plain": {**SASL, **ACCOUNT, "TURNSTILE_KAFKA__SASL_MECHANISM": "PLAIN"},
    "scram": {**SASL, **ACCOUNT, "TURNSTILE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"},
    "tokens": {**SASL, **TOKENS},
}


def settings(case: str) -> Settings:
    return load_settings(environ=CASES[case])


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress(SCHEMA.read_bytes())))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.mark.parametrize("case", CASES)
def test_it_is_valid_asyncapi_3(schema: Draft7Validator, case: str) -> None:
    document = asyncapi_of(settings(case))
    assert [f"{each.json_path}: {each.message[:200]}" for each in schema.iter_errors(document)] == []
    for reference in set(references(document)):
        at: Any = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_the_schema_finds_what_is_wrong(schema: Draft7Validator) -> None:
    document = asyncapi_of(settings("as it comes"))
    document["channels"]["turnstile.events"]["bindings"]["kafka"]["partitions"] = "many"
    assert list(schema.iter_errors(document))


@pytest.mark.parametrize("case", CASES)
def test_every_topic_of_the_plan_that_others_read_or_write_is_a_channel(case: str) -> None:
    given = settings(case)
    plan = plan_of(given)
    roles = {Role.SOURCE, Role.HISTORY, Role.TRANSITIONS, Role.IDENTITIES, Role.AUDIT, Role.DEAD_LETTERS}
    channels = asyncapi_of(given)["channels"]
    addresses = {each["address"] for each in channels.values()}
    wanted = {each.name for each in wanted_topics(plan, 1) if each.role in roles}
    assert addresses == {*wanted, plan.undelivered_topic("{destination}", 1).name, None}


def test_topics_are_as_we_make_them() -> None:
    channels = asyncapi_of(settings("several"))["channels"]
    kafka = channels["web"]["bindings"]["kafka"]
    assert (kafka["topic"], kafka["partitions"], kafka["replicas"]) == ("web", 12, 3)
    undelivered = channels["undelivered"]["bindings"]["kafka"]
    assert undelivered["topicConfiguration"]["retention.ms"] == -1
    # What others make is theirs.
    others = asyncapi_of(settings("as it comes"))["channels"]["turnstile.events"]["bindings"]["kafka"]
    assert "partitions" not in others


@pytest.mark.parametrize(
    ("case", "protocol", "security"),
    [
        ("as it comes", "kafka", None),
        ("tls", "kafka-secure", None),
        ("plain", "kafka-secure", "plain"),
        ("scram", "kafka-secure", "scramSha512"),
        ("tokens", "kafka-secure", "oauth2"),
    ],
)
def test_servers_say_how_one_gets_in_and_no_secret(case: str, protocol: str, security: str | None) -> None:
    document = asyncapi_of(settings(case))
    (server,) = document["servers"].values()
    assert server["protocol"] == protocol
    assert [each["type"] for each in server.get("security", [])] == ([security] if security else [])
    text = json.dumps(document)
    assert SECRET not in text
    assert NAME not in text


def test_each_address_of_the_brokers_is_a_server() -> None:
    servers = asyncapi_of(settings("several"))["servers"]
    assert [each["host"] for each in servers.values()] == ["a:9092", "b:9093"]


def test_the_command_prints_it() -> None:
    ran = CliRunner(env=CASES["several"]).invoke(cli, ["topology", "--asyncapi"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output) == asyncapi_of(settings("several"))
    both = CliRunner().invoke(cli, ["topology", "--asyncapi", "--mermaid"])
    assert both.exit_code == 2


def test_a_source_says_its_format(schema: Draft7Validator) -> None:
    web = {"topic": "web", "format": "segment"}
    formats = json.dumps([web, {"topic": "app", "format": "cloudevents", "data_format": "sensors"}])
    environ = {"TURNSTILE_TOPICS__EVENTS": "web,app,own", "TURNSTILE_SOURCES__FORMATS": formats}
    document = asyncapi_of(load_settings(environ=environ))
    assert list(schema.iter_errors(document)) == []
    channels = document["channels"]
    assert (channels["web"]["x-format"], list(channels["web"]["messages"])) == ("segment", ["segmentRecord"])
    assert (channels["app"]["x-format"], channels["app"]["x-data-format"]) == ("cloudevents", "sensors")
    assert list(channels["own"]["messages"]) == ["track", "profile", "delete", "batch"]

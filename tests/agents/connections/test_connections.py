"""Connections: read with every problem at once, published as they were written."""

from __future__ import annotations

import msgspec
import pytest

from agents.connections.connection import ObjectStore, Sftp
from agents.connections.parse import load_connections
from agents.connections.published import Connections, PublishedConnection
from agents.deliver.definitions.destination import Secret
from agents.deliver.definitions.systems import EventHubNamespace, KafkaCluster
from agents.kafka.consumed import Consumed
from agents.registry.definitions import definition_record
from rules.parse.problems import DefinitionsInvalid
from tests.agents.connections.made import ALL, CRM, FILES, HUBS, LAKE, SFTP, connection


def problems_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(DefinitionsInvalid) as caught:
        load_connections([("c.yaml", text)])
    return [(each.line, each.message) for each in caught.value.problems]


def test_each_kind_is_read() -> None:
    kinds = [connection(each).kind for each in ALL]
    assert kinds == ["webhook", "kafka", "eventhub", "object_store", "sftp"]
    store = connection(FILES).reached
    assert isinstance(store, ObjectStore)
    assert (store.scheme, store.bucket, store.folder, store.key) == ("s3", "audiences", "out", Secret("SK"))
    server = connection(SFTP).reached
    assert isinstance(server, Sftp)
    assert (server.host, server.port, server.password) == ("sftp.example", 22, Secret("SFTP"))
    assert isinstance(connection(HUBS).reached, EventHubNamespace)
    assert isinstance(connection(LAKE).reached, KafkaCluster)


@pytest.mark.parametrize("text", ALL)
def test_what_is_published_reads_back_the_same(text: str) -> None:
    wanted = PublishedConnection(connection(text), 3)
    key, value = definition_record(wanted)
    registry = Connections("t")
    assert registry.take(Consumed("t", 0, 5, 0, key, value, []))
    assert registry.published == {wanted.definition.key: wanted}
    assert not registry.take(Consumed("t", 0, 6, 0, key, b"{}", []))
    assert registry.published == {}, "it may have said that fewer may use it"
    assert registry.unusable_versions == {wanted.definition.key: 7}


def test_the_first_record_of_a_version_stands_and_a_lower_one_doesnt_come_back() -> None:
    first, other = connection(CRM), connection(CRM.replace("The CRM", "Ours"))
    registry = Connections("t")
    for offset, (definition, version, stands) in enumerate(
        [(first, 2, True), (other, 2, False), (other, 1, False), (first, 2, True), (other, 3, True)]
    ):
        key, value = definition_record(PublishedConnection(definition, version))
        assert registry.take(Consumed("t", 0, offset, 0, key, value, [])) is stands
        assert bool(registry.unusable) is not stands
        assert registry.unusable_versions == {}
        assert registry.standing(key) == (key, value) or not stands
    assert registry.published["default/crm"] == PublishedConnection(other, 3)


def test_json_is_read_like_yaml() -> None:
    assert connection(msgspec.json.encode(connection(CRM).document).decode()) == connection(CRM)


def test_every_problem_is_told_at_once_with_its_place() -> None:
    found = problems_of(
        """name: crm
kind: webhook
owner: me
webhook:
  url: https://crm.example/
  parameters:
    user_id: {}
    level: {type: choice}
    size: {type: numbr}
    text: {required: true, default: a}
    many: {type: number, default: few}
    nested: {default: "${user_id}"}
  variables: {text: {attribute: t}}
  json: "${tekst}"
"""
    )
    assert [line for line, _ in found] == [3, 7, 8, 9, 10, 11, 12, 13, 14]
    told = "\n".join(message for _, message in found)
    for each in ("'user_id' is a field", "'choices' must be given", "unknown type 'numbr'", "has no default"):
        assert each in told
    assert "many must be a number, not 'few'" in told
    assert "can't hold a variable" in told


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("sftp: {host: a.example, user: u, password: {secret: X}}", "anybody could pass for it"),
        ("sftp: {host: a.example, user: u, fingerprints: [MD5:aa], password: {secret: X}}", "no fingerprint"),
        (
            "sftp: {host: a.example, user: u, host_keys: [a.example ssh-rsa AA], password: {secret: X}}",
            "no pub",
        ),
        ("sftp: {host: 'a.example:2222', user: u, fingerprints: [x], password: {secret: X}}", "host:"),
        ("sftp: {host: a.example, user: u, password: open sesame}", "must not be written down"),
        ("object_store: {url: 'https://a.example/x'}", "url must be s3://"),
        ("object_store: {url: 's3://bucket/a/../b'}", "url must be s3://"),
        ("object_store: {url: 's3://bucket', key_id: A}", "belong together"),
        ("object_store: {url: 's3://bucket'}", "needs its 'region'"),
        ("object_store: {url: 's3://bucket', region: 'x@evil.example/'}", "region must be"),
        ("object_store: {url: 'az://box'}", "'key_id' is needed"),
        ("object_store: {url: 'az://box', key_id: evil.example/x}", "lower-case letters and digits"),
        ("object_store: {url: 'gs://box', region: x}", "'region' has no effect"),
        ("kafka: {bootstrap: a, sasl_mechanism: PLAIN}", "bootstrap:"),
        ("kafka: {sasl_mechanism: PLAIN}", "has no effect without 'bootstrap'"),
        ("kafka: {bootstrap: 'a:1', topic: t}", "unknown key 'topic'"),
        ("eventhub: {}", "connection_string, or by namespace"),
    ],
)
def test_what_a_kind_refuses(inside: str, told: str) -> None:
    text = f"name: c\nkind: {inside.partition(':')[0]}\n{inside}\n"
    assert any(told in message for _, message in problems_of(text)), problems_of(text)

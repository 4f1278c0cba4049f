"""Which secrets there are, where each may be sent to, and what is never sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from agents.deliver.definitions.destination import Secret
from agents.deliver.definitions.hosts import HostPattern, NoHost, canonical_host, endpoint_of
from agents.deliver.definitions.parse import load_destinations, load_published
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets.secrets import Declared, OwnSecrets, Secrets, SecretSources
from agents.kafka.consumed import Consumed
from agents.registry.api_keys import KeyRecord, encode_key
from agents.registry.api_keys_topic import api_keys_feed
from agents.warnings import Warnings
from app.http.api_keys import KeyRing, new_key
from app.publish.permitted import secrets_of
from app.settings.tree import SettingsInvalid, load_settings
from rules.parse.problems import DefinitionsInvalid
from tests.stage.delivery import transition
from tests.stage.delivery_engine import DeliveryLab, lab, message
from tests.stage.receiver import Receiver, first, receiver, status
from tests.stage.workers import until

VALUE = "s3cret-0f-the-crm"
HERE = endpoint_of("127.0.0.1:80")


def secrets(file: str | None = None, folder: Path | None = None, own: OwnSecrets | None = None) -> Secrets:
    """One secret, S, for 127.0.0.1."""
    hosts = (HostPattern.parse("127.0.0.1"),)
    env = None if file else "S"
    declared = {"S": Declared("S", hosts, env, Path(file) if file else None)}
    return Secrets(SecretSources(declared, folder, {"S": VALUE}, own or OwnSecrets()))


# -- hosts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "place", "fits"),
    [
        ("api.example.com", "api.example.com:443", True),
        ("API.Example.COM", "api.example.com:443", True),
        ("api.example.com", "API.EXAMPLE.com.:443", True),
        ("api.example.com.", "api.example.com:443", True),
        ("api.example.com", "xapi.example.com:443", False),
        ("api.example.com", "api.example.com.evil.example:443", False),
        ("api.example.com", "a.api.example.com:443", False),
        ("*.example.com", "api.example.com:443", True),
        ("*.example.com", "a.b.example.com:443", True),
        ("*.example.com", "example.com:443", False),
        ("*.example.com", "evilexample.com:443", False),
        ("*.example.com", "example.com.evil.example:443", False),
        ("api.example.com:8443", "api.example.com:8443", True),
        ("api.example.com:8443", "api.example.com:443", False),
        ("bücher.example", "xn--bcher-kva.example:443", True),
        ("xn--bcher-kva.example", "BÜCHER.example:443", True),
        ("[::1]:80", "[0:0:0:0:0:0:0:1]:80", True),
        ("::1", "[::1]:80", True),
        ("[2001:db8::1]", "[2001:DB8:0::1]:443", True),
        ("127.0.0.1", "127.0.0.1:80", True),
        ("127.0.0.1", "[::ffff:127.0.0.1]:80", False),
    ],
)
def test_hosts_are_compared_by_whole_labels_in_one_form(pattern: str, place: str, fits: bool) -> None:
    assert HostPattern.parse(pattern).matches(endpoint_of(place)) is fits


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", "a b", "a/b", "good@evil", "http://a", "a..b", "a:0", "a:99999", "a:", "*.*.b"),
        *(
            "fe80::1%eth0",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "[a]",
            "[::1",
            "a\\b",
            "a%2eb",
            "*.10.0.0.1",
            "a\n",
        ),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(NoHost):
        HostPattern.parse(text)


def test_a_host_has_one_form() -> None:
    assert canonical_host("Exämple.COM.") == "xn--exmple-cua.com"
    assert str(endpoint_of("[2001:DB8::0:1]:9093")) == "[2001:db8::1]:9093"


# -- values ----------------------------------------------------------------------------------------------


def test_a_secret_goes_to_its_hosts_only_and_only_if_it_is_declared() -> None:
    made = secrets()
    assert made.get(Secret("S"), [HERE]) == VALUE
    with pytest.raises(SinkMisconfigured, match=r"may be sent to 127\.0\.0\.1 .* not to evil\.example:443"):
        made.get(Secret("S"), [HERE, endpoint_of("evil.example:443")])
    with pytest.raises(SinkMisconfigured, match="no secret 'T'; allowed: S"):
        made.get(Secret("T"), [HERE])


@pytest.mark.parametrize("value", ["", "1234567", "      1234567\n"])
def test_a_secret_that_is_too_short_to_be_masked_is_refused(value: str) -> None:
    hosts = (HostPattern.parse("127.0.0.1"),)
    made = Secrets(SecretSources({"S": Declared("S", hosts, "S")}, None, {"S": value}))
    with pytest.raises(SinkMisconfigured, match="8 characters" if value else "isn't set"):
        made.get(Secret("S"), [HERE])


@pytest.mark.parametrize("kind", ["env", "file"])
def test_references_of_old_are_refused_with_what_to_write_instead(kind: str) -> None:
    text = (
        f"{{name: a, kind: webhook, webhook: {{url: 'https://x/', headers: {{X-K: {{{kind}: /p/TOKEN}}}}}}}}"
    )
    with pytest.raises(DefinitionsInvalid) as caught:
        load_destinations([("a.yaml", text)])
    name = "/p/TOKEN" if kind == "env" else "TOKEN"
    assert f"deliver.secrets: [{{name: {name}, source: {{{kind}: /p/TOKEN}}, hosts: [HOST]}}]" in str(
        caught.value
    )
    assert f"write {{secret: {name}}}" in str(caught.value)


async def test_a_destination_that_was_published_with_one_is_misconfigured_and_sends_nothing() -> None:
    async with receiver() as hook:
        headers = {"X-K": {"file": "/proc/self/environ"}}
        document = {"name": "a", "kind": "webhook", "webhook": {"url": hook.url, "headers": headers}}
        found = load_published(json.dumps(document), "topic")
        assert "deliver.secrets" in found.refused
        made = DeliveryLab(json.dumps({**document, "webhook": {"url": hook.url}}), made=found)
        await asks_for_a_change(made)
        assert "{file: /proc/self/environ} is not looked up any more" in str(made.engine.report.last_error)
        assert not hook.requests


async def asks_for_a_change(made: DeliveryLab) -> None:
    opening = asyncio.create_task(made.engine.open())
    try:
        await until(lambda: made.engine.report.state == "misconfigured", "it says so", 10)
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await made.engine.close()


@pytest.mark.parametrize("document", [{"destinations": []}, {"destinations": [1]}, {}, []])
def test_what_was_published_and_is_not_one_destination_is_told(document: object) -> None:
    with pytest.raises(DefinitionsInvalid):
        load_published(json.dumps(document), "topic")


# -- files -----------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A folder as Kubernetes mounts a secret: each file a link through ``..data``, which is one, too."""
    folder = tmp_path / "mounted"
    version = folder / "..2026_11_27"
    version.mkdir(parents=True)
    (version / "token").write_text(VALUE + "\r\n")
    (folder / "..data").symlink_to(version.name)
    (folder / "token").symlink_to("..data/token")
    (tmp_path / "outside").write_text(VALUE)
    return folder


def test_a_file_is_found_through_links_that_stay_inside(mounted: Path, tmp_path: Path) -> None:
    assert secrets("token", mounted).get(Secret("S"), [HERE]) == VALUE
    assert secrets(str(mounted / "token"), mounted).get(Secret("S"), [HERE]) == VALUE
    (tmp_path / "alias").symlink_to(mounted)
    assert secrets(str(mounted / "token"), tmp_path / "alias").get(Secret("S"), [HERE]) == VALUE
    newer = mounted / "..2026_11_28"
    newer.mkdir()
    (newer / "token").write_text("the-next-one")
    (mounted / "..new").symlink_to(newer.name)
    made = secrets("token", mounted)
    before = made.stamp([Secret("S")])
    (mounted / "..new").rename(mounted / "..data")
    assert made.stamp([Secret("S")]) != before
    assert made.get(Secret("S"), [HERE]) == "the-next-one"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../outside", "not inside"),
        ("/etc/hostname", "not inside"),
        ("link", "not inside"),
        ("up/outside", "not inside"),
        ("/proc/self/environ", "not inside"),
        ("environ", "not inside"),
        ("none", "can't be read: No such file"),
        ("circle", "can't be read"),
        (".", "not a regular file"),
        ("pipe", "not a regular file"),
        ("binary", "isn't UTF-8"),
    ],
)
def test_other_files_are_refused(mounted: Path, path: str, says: str) -> None:
    (mounted / "link").symlink_to("../outside")
    (mounted / "up").symlink_to("..")
    (mounted / "environ").symlink_to("/proc/self/environ")
    (mounted / "circle").symlink_to("circle")
    os.mkfifo(mounted / "pipe")
    (mounted / "binary").write_bytes(b"\xff" * 20)
    with pytest.raises(SinkMisconfigured, match=says):
        secrets(path, mounted).get(Secret("S"), [HERE])


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/no-such-file", "/no/such/folder/x", "../none", "/root/x"]
)
def test_whether_there_are_files_outside_of_the_folder_is_not_told(mounted: Path, path: str) -> None:
    with pytest.raises(SinkMisconfigured, match="is not inside of"):
        secrets(str(mounted / "token"), mounted).file(path)


def test_without_a_folder_there_are_no_files_and_proc_is_never_one(mounted: Path) -> None:
    with pytest.raises(SinkMisconfigured, match=r"deliver\.secrets_dir"):
        secrets(str(mounted / "token")).get(Secret("S"), [HERE])
    for folder in ("/", "/proc", "/proc/self"):
        with pytest.raises(SinkMisconfigured, match="not a regular file"):
            secrets("/proc/self/environ", Path(folder)).get(Secret("S"), [HERE])


# -- our own ---------------------------------------------------------------------------------------------


def declared(**source: str) -> dict[str, object]:
    return {"name": "S", "source": source, "hosts": ["127.0.0.1"]}


def settings_with(environ: Mapping[str, str], *given: dict[str, object], file: Path | None = None) -> Secrets:
    return secrets_of(load_settings(file, {"TURNSTILE_DELIVER__SECRETS": json.dumps(given), **environ}))


@pytest.mark.parametrize("around", ["{}", "Bearer {}", "x{}y", "base64"])
@pytest.mark.parametrize("own", ["kafka.sasl_password", "deliver.lookup_key", "http.api_keys"])
def test_our_own_secrets_are_never_sent_under_whatever_name(
    own: str, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own == "http.api_keys" and around in ("x{}y", "base64"):
        pytest.skip("of these only the hash is known")
    value = "our-0wn-passw0rd"
    digest = hashlib.sha256(value.encode()).hexdigest()
    environ = {
        "kafka.sasl_password": {
            "TURNSTILE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "TURNSTILE_KAFKA__SASL_MECHANISM": "PLAIN",
            "TURNSTILE_KAFKA__SASL_USERNAME": "turnstile",
            "TURNSTILE_KAFKA__SASL_PASSWORD": value,
        },
        "deliver.lookup_key": {"TURNSTILE_DELIVER__LOOKUP_KEY": value},
        "http.api_keys": {
            "TURNSTILE_HTTP__API_KEYS": json.dumps([{"name": "k", "sha256": digest, "scopes": ["admin"]}])
        },
    }[own]
    encoded = "Basic " + base64.b64encode(f"turnstile:{value}".encode()).decode()
    monkeypatch.setenv("OTHER_NAME", encoded if around == "base64" else around.format(value))
    with pytest.raises(SinkMisconfigured, match=f"value of the setting {own}") as caught:
        settings_with(environ, declared(env="OTHER_NAME")).get(Secret("S"), [HERE])
    assert value not in str(caught.value)


@pytest.mark.parametrize("around", ["{}", "Bearer {}", "x{}y", "key={};a=b", '{{"k": "{}"}}', "base64"])
@pytest.mark.parametrize("kept", ["file", "topic"])
def test_api_keys_of_the_file_and_of_the_topic_are_never_sent(kept: str, around: str, tmp_path: Path) -> None:
    key = new_key()
    feed = api_keys_feed(lambda: None, "keys", Warnings())  # type: ignore[arg-type, return-value]
    digest = hashlib.sha256(key.encode()).hexdigest()
    environ = {"TURNSTILE_DELIVER__SECRETS": json.dumps([declared(env="OTHER")])}
    if kept == "file":
        (tmp_path / "keys.yaml").write_text(f"[{{name: k, sha256: '{digest}', scopes: [lookup]}}]")
        environ["TURNSTILE_HTTP__API_KEYS_FILE"] = str(tmp_path / "keys.yaml")
    settings = load_settings(None, environ)
    ring = KeyRing(settings.http, feed, Warnings())
    encoded = base64.b64encode(f"user:{key}".encode()).decode()
    value = f"Basic {encoded}" if around == "base64" else around.format(key)
    made = secrets_of(settings, ring.digests, {"OTHER": value})
    if kept == "topic":
        assert made.get(Secret("S"), [HERE]) == value
        record = KeyRecord(digest, ("lookup",), ("*",), 0)  # made while the process runs
        feed.take(Consumed("keys", 0, 0, 0, b"k", encode_key(record), []))
    with pytest.raises(SinkMisconfigured, match=r"value of the setting http\.api_keys"):
        made.get(Secret("S"), [HERE])
    if kept == "file":
        with pytest.raises(SinkMisconfigured, match=r"value of the setting http\.api_keys"):
            secrets_of(settings, environ={"OTHER": value}).get(Secret("S"), [HERE])


def test_a_secret_of_another_project_is_as_if_it_was_not_there() -> None:
    given = json.dumps(
        [{**declared(env="OTHER"), "projects": ["shop"]}, {**declared(env="OTHER"), "name": "T"}]
    )
    settings = load_settings(None, {"TURNSTILE_DELIVER__SECRETS": given})
    environ = {"OTHER": "s3cret-of-the-shop"}
    assert secrets_of(settings, environ=environ, project="shop").get(Secret("S"), [HERE]) == environ["OTHER"]
    others = secrets_of(settings, environ=environ, project="default")
    with pytest.raises(SinkMisconfigured, match=r"have no secret 'S'; .*allowed: T$"):
        others.get(Secret("S"), [HERE])
    assert others.get(Secret("T"), [HERE]) == environ["OTHER"]


def test_the_settings_file_is_never_sent_under_any_name(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"deliver: {{secrets_dir: {tmp_path}, port: 1234}}\n")
    (tmp_path / "link").symlink_to("settings.yaml")
    (tmp_path / "hard").hardlink_to(file)
    for name in ("settings.yaml", "link", "hard"):
        with pytest.raises(SinkMisconfigured, match="holds our own settings"):
            settings_with({}, declared(file=name), file=file).get(Secret("S"), [HERE])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            [declared(env="TURNSTILE_KAFKA__SASL_PASSWORD")],
            r"deliver\.secrets\[0\]\.source.*none of TURNSTILE_",
        ),
        ([declared(env="turnstile_x")], "none of TURNSTILE_"),
        ([declared(env="A", file="b")], r"deliver\.secrets\[0\]\.source"),
        ([declared()], r"deliver\.secrets\[0\]\.source"),
        ([{"name": "S", "source": {"env": "A"}}], r"deliver\.secrets\[0\]\.hosts .*: is missing"),
        ([{"name": "S", "source": {"env": "A"}, "hosts": []}], r"deliver\.secrets\[0\]\.hosts"),
        ([{"name": "S", "source": {"env": "A"}, "hosts": ["*"]}], r"\*\.example\.com"),
        ([{"name": "S", "source": {"env": "A"}, "hosts": ["https://a"]}], "must be a list of host names"),
        ([{"name": "a b", "source": {"env": "A"}, "hosts": ["a"]}], r"deliver\.secrets\[0\]\.name"),
        ([declared(env="A"), declared(env="B")], "two secrets have one name"),
        ([declared(file="a")], r"S: files are read from deliver\.secrets_dir only"),
    ],
)
def test_settings_that_declare_something_else_stop_the_start(given: list[object], says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        load_settings(None, {"TURNSTILE_DELIVER__SECRETS": json.dumps(given)})


# -- at work ---------------------------------------------------------------------------------------------


def webhook(hook: Receiver, **target: object) -> str:
    document = {"url": hook.url, "headers": {"Authorization": {"secret": "S"}}, **target}
    return json.dumps({"name": "a", "kind": "webhook", "webhook": document})


@pytest.mark.parametrize(
    "where",
    [
        {"headers": {"X-A": {"secret": "S"}}},
        {"query": {"k": {"secret": "S"}}},
        {"form": {"k": {"secret": "S"}}},
        {"signing_secret": {"secret": "S"}},
        {"url": {"secret": "S"}},
    ],
    ids=["headers", "query", "form", "signature", "url"],
)
async def test_no_part_of_a_webhook_takes_a_secret_elsewhere(where: dict[str, object]) -> None:
    async with receiver() as hook:
        hosts = (HostPattern.parse("crm.example"),)
        value = hook.url if "url" in where else "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        made = Secrets(SecretSources({"S": Declared("S", hosts, "S")}, None, {"S": value}))
        document = {"name": "a", "kind": "webhook", "webhook": {"url": hook.url, **where}}
        refused = DeliveryLab(json.dumps(document), secrets=made)
        await asks_for_a_change(refused)
        assert "may be sent to crm.example" in str(refused.engine.report.last_error)
        assert not hook.requests


async def test_a_file_that_is_replaced_is_used_from_the_next_request_on(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the-first-one\n")
    async with receiver() as hook:
        async with lab(webhook(hook), secrets=secrets("token", tmp_path)) as made:
            await made.deliver([message(transition("u1", 1))])
            other = tmp_path / "next"
            other.write_text("the-second-one\n")
            other.rename(file)
            await made.deliver([message(transition("u1", 2))])
            file.unlink()
            waiting = message(transition("u1", 3))
            assert await made.engine.put([waiting])
            await until(lambda: made.engine.report.state == "misconfigured", "it says so", 10)
            assert not waiting.done
        assert [each.headers["Authorization"] for each, _ in hook.requests] == [
            "the-first-one",
            "the-second-one",
        ]


async def test_a_secret_that_was_replaced_while_it_was_sent_costs_no_dead_letter(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("the-first-one")
    async with receiver() as hook:

        async def rotated(request: object, body: bytes) -> object:
            file.write_text("the-second-one")
            return await status(401)(request, body)  # type: ignore[arg-type]

        hook.answer = first(1, rotated)  # type: ignore[arg-type]
        definition = webhook(hook).replace('"kind"', '"retry": {"first": "10ms"}, "kind"')
        async with lab(definition, secrets=secrets("token", tmp_path)) as made:
            await made.deliver([message(transition("u1", 1))])
            assert not made.buried
            assert len(hook.taken) == 1
            hook.answer = status(401)
            await made.deliver([message(transition("u1", 2))])
            assert [code for _, code, _ in made.buried] == ["http_401"]

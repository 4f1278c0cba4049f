"""The chart is closed: keys are required, and secrets stay in Secrets."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.settings.sources import is_secret, leaves, variable
from app.settings.tree import Settings, load_settings
from tests.certificates import Authority
from tests.helm.objects import (
    Object,
    Refused,
    Render,
    container_of,
    environment_of,
    of_kind,
    pod_of,
)

pytestmark = pytest.mark.slow


SECRETS = sorted(name for name, field in leaves(Settings) if is_secret(field))


BOTH = ("worker", "deliver")


ALL: Object = {
    "kafka": {"existingSecret": "kafka", "usernameKey": "user", "ca": {"existingSecret": "brokers"}},
    "tls": {"existingSecret": "tls"},
    "deliver": {
        "enabled": True,
        "lookupKey": {"existingSecret": "lookups"},
        "secrets": {"existingSecret": "receivers"},
    },
    "settings": {"kafka": {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"}},
}


DECLARED: Object = {
    "secrets": [{"name": "crm", "source": {"file": "crm"}, "hosts": ["crm.example"]}],
}


def nested(name: str, value: object) -> Object:
    section, key = name.split(".")
    return {section: {key: value}}


def settings_of(objects: list[Object]) -> Object:
    settings = YAML(typ="safe").load(of_kind(objects, "ConfigMap")["data"]["turnstile.yaml"])
    assert isinstance(settings, dict)
    return settings


def volume_of(objects: list[Object], name: str, component: str = "worker") -> tuple[Object, str]:
    """The volume, and where the program sees it."""
    (volume,) = [one for one in pod_of(objects, component)["volumes"] if one["name"] == name]
    (mount,) = [one for one in container_of(objects, component)["volumeMounts"] if one["name"] == name]
    assert mount["readOnly"] is True
    return volume, mount["mountPath"]


# -- API keys ----------------------------------------------------------------------------------------


def test_without_keys_nothing_is_rendered_and_the_error_is_the_way_to_make_them(
    refused: Refused, tmp_path: Path
) -> None:
    told = refused(apiKeys={})
    assert "apiKeys.existingSecret is empty" in told
    lines = [line.strip() for line in told.splitlines()]
    (key,) = [line for line in lines if line.startswith("KEY=")]
    (create,) = [line for line in lines if line.startswith("kubectl ")]
    assert "--namespace marketing create secret generic live-turnstile-api-keys " in create
    assert "--set apiKeys.existingSecret=live-turnstile-api-keys" in told

    # The lines as they stand, with a kubectl that writes down what it is given.
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\nfor each in "$@"; do echo "$each"; done >"${0%/*}/given"\n')
    kubectl.chmod(0o755)
    script = f"{key}\n{create}\nprintf %s $KEY"
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert len(done.stdout) == 64
    (literal,) = [line for line in (tmp_path / "given").read_text().splitlines() if "--from-literal" in line]
    file, _, text = literal.removeprefix("--from-literal=").partition("=")
    assert file == "api-keys.yaml"
    assert YAML(typ="safe").load(text) == [
        {"name": "first", "sha256": hashlib.sha256(done.stdout.encode()).hexdigest(), "scopes": ["admin"]}
    ]


def test_keys_are_a_file_that_follows_its_secret(render: Render) -> None:
    objects = render(apiKeys={"existingSecret": "mine", "key": "keys.json"}, deliver={"enabled": True})
    for component in BOTH:
        volume, place = volume_of(objects, "api-keys", component)
        assert volume["secret"]["secretName"] == "mine"
        assert volume["secret"]["items"] == [{"key": "keys.json", "path": "keys.json"}]
        assert settings_of(objects)["http"]["api_keys_file"] == f"{place}/keys.json"
        assert not [one for one in container_of(objects, component)["volumeMounts"] if "subPath" in one]


# -- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SECRETS)
def test_secret_settings_are_refused_with_what_takes_them(refused: Refused, name: str) -> None:
    told = refused(settings=nested(name, [{"name": "a", "sha256": "hunter2"}]))
    assert told == refused(settings=nested(name, "hunter2"))
    assert f"/settings/{name.replace('.', '/')}" in told
    assert "existingSecret" in told or "valueFrom.secretKeyRef" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("where", ["env", "deliver.extraEnv"])
def test_secret_variables_come_from_secrets_only(
    refused: Refused, render: Render, name: str, where: str
) -> None:
    def values(item: Object) -> Object:
        return {"env": [item]} if where == "env" else {"deliver": {"enabled": True, "extraEnv": [item]}}

    told = refused(**values({"name": variable(name), "value": "hunter2"}))
    assert "valueFrom.secretKeyRef" in told
    assert "hunter2" not in told
    item = {"name": variable(name), "valueFrom": {"secretKeyRef": {"name": "mine", "key": "mine"}}}
    assert item in container_of(render(**values(item)), "worker" if where == "env" else "deliver")["env"]


# -- the program -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("http.port", "http.port"),
        ("http.host", "all addresses"),
        ("worker.id", "name of the pod"),
        ("deliver.secrets_dir", "deliver.secrets.existingSecret"),
        ("http.tls_key_file", "tls.existingSecret"),
        ("http.allow_open", "apiKeys"),
    ],
)
def test_settings_of_the_chart_are_refused_with_what_takes_their_place(
    refused: Refused, name: str, takes: str
) -> None:
    told = refused(settings=nested(name, "x"))
    assert f"/settings/{name.replace('.', '/')}" in told
    assert takes in told


@pytest.mark.parametrize("settings", [{"kafka": {"bootstap": "x"}}, {"kafak": {}}])
def test_settings_that_there_are_not_are_refused_by_name(refused: Refused, settings: Object) -> None:
    assert "not allowed" in refused(settings=settings)


def test_kafkas_credentials_and_authority_come_from_secrets(render: Render) -> None:
    objects = render(**ALL)
    for component in BOTH:
        environment = environment_of(objects, component)
        for name, key in (("USERNAME", "user"), ("PASSWORD", "password")):
            assert environment[f"TURNSTILE_KAFKA__SASL_{name}"]["valueFrom"] == {
                "secretKeyRef": {"name": "kafka", "key": key}
            }
        volume, place = volume_of(objects, "kafka-ca", component)
        assert volume["secret"]["secretName"] == "brokers"
        assert settings_of(objects)["kafka"]["ssl_cafile"] == f"{place}/ca.crt"


def test_the_user_name_may_stand_in_the_settings(render: Render) -> None:
    settings = {"kafka": {"sasl_username": "turnstile"}}
    objects = render(kafka={"existingSecret": "turnstile"}, settings=settings)
    assert "TURNSTILE_KAFKA__SASL_USERNAME" not in environment_of(objects)
    assert "TURNSTILE_KAFKA__SASL_PASSWORD" in environment_of(objects)
    assert settings_of(objects)["kafka"]["sasl_username"] == "turnstile"


def test_the_brokers_authority_may_be_in_a_config_map_but_not_in_two_places(
    render: Render, refused: Refused
) -> None:
    objects = render(kafka={"ca": {"existingConfigMap": "brokers", "key": "ca.pem"}})
    volume, place = volume_of(objects, "kafka-ca")
    assert volume["configMap"]["name"] == "brokers"
    assert settings_of(objects)["kafka"]["ssl_cafile"] == f"{place}/ca.pem"
    both = {"ca": {"existingSecret": "a", "existingConfigMap": "b"}}
    assert "both given" in refused(kafka=both)
    twice = {"kafka": {"ssl_cafile": "/etc/mine"}}
    assert "both given" in refused(kafka={"ca": {"existingSecret": "a"}}, settings=twice)


def test_kafkas_client_certificate_and_client_secret_come_from_secrets(render: Render) -> None:
    kafka = {"certificate": {"existingSecret": "turnstile"}, "oauth": {"existingSecret": "login"}}
    objects = render(kafka=kafka, deliver={"enabled": True})
    for component in BOTH:
        volume, place = volume_of(objects, "kafka-certificate", component)
        assert volume["secret"]["secretName"] == "turnstile"
        assert [each["key"] for each in volume["secret"]["items"]] == ["user.crt", "user.key"]
        assert settings_of(objects)["kafka"]["ssl_certfile"] == f"{place}/user.crt"
        assert settings_of(objects)["kafka"]["ssl_keyfile"] == f"{place}/user.key"
        environment = environment_of(objects, component)
        assert environment["TURNSTILE_KAFKA__OAUTH_CLIENT_SECRET"]["valueFrom"] == {
            "secretKeyRef": {"name": "login", "key": "client-secret"}
        }
        assert "TURNSTILE_KAFKA__SASL_PASSWORD" not in environment


def test_deliverys_secrets_are_its_own(render: Render) -> None:
    objects = render(**ALL)
    environment = environment_of(objects, "deliver")
    assert environment["TURNSTILE_DELIVER__LOOKUP_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "lookups", "key": "lookup-key"}
    }
    volume, place = volume_of(objects, "destinations", "deliver")
    assert volume["secret"]["secretName"] == "receivers"
    assert settings_of(objects)["deliver"]["secrets_dir"] == place
    assert "receivers" not in json.dumps(of_kind(objects, "StatefulSet"))
    assert "lookups" not in json.dumps(of_kind(objects, "StatefulSet"))


# -- TLS ---------------------------------------------------------------------------------------------


def test_with_tls_all_addresses_are_https_and_all_pods_have_the_certificate(render: Render) -> None:
    objects = render(**ALL)
    settings = settings_of(objects)
    for component in BOTH:
        volume, place = volume_of(objects, "tls", component)
        assert volume["secret"]["secretName"] == "tls"
        assert settings["http"]["tls_cert_file"] == f"{place}/tls.crt"
        assert settings["http"]["tls_key_file"] == f"{place}/tls.key"
        assert settings["http"]["tls_ca_file"] == f"{place}/ca.crt"
        # A listener of its own, without TLS: a kubelet and Prometheus need no certificate.
        assert "scheme" not in container_of(objects, component)["livenessProbe"]["httpGet"]
    assert settings["deliver"]["lookup_url"] == "https://live-turnstile.marketing.svc:80"
    advertised = environment_of(objects)["TURNSTILE_HTTP__ADVERTISED_URL"]["value"]
    assert advertised == "https://$(POD_NAME).live-turnstile-workers.marketing.svc:8080"


def test_a_certificate_of_a_public_authority_needs_no_other(render: Render) -> None:
    objects = render(tls={"existingSecret": "tls", "caKey": ""})
    assert "tls_ca_file" not in settings_of(objects)["http"]


@pytest.mark.parametrize(
    "values",
    [{}, ALL | {"settings": {**ALL["settings"], "deliver": DECLARED}}],
    ids=["defaults", "all"],
)
@pytest.mark.parametrize("component", [*BOTH, "serve"])
def test_the_program_takes_what_is_rendered(
    render: Render, values: Object, component: str, tmp_path: Path
) -> None:
    deliver = {**values.get("deliver", {}), "enabled": True}
    objects = render(**{**values, "deliver": deliver, "serve": {"enabled": True}})
    settings = of_kind(objects, "ConfigMap")["data"]["turnstile.yaml"]
    file = tmp_path / "turnstile.yaml"
    file.write_text(settings.replace("/run/turnstile", str(tmp_path)))
    for folder in ("api-keys", "tls", "kafka-ca", "destinations"):
        (tmp_path / folder).mkdir()
    key = [{"name": "first", "sha256": "0" * 64, "scopes": ["admin"]}]
    (tmp_path / "api-keys" / "api-keys.yaml").write_text(json.dumps(key))
    authority = Authority(tmp_path / "tls", "ca")
    authority.issue(tmp_path / "tls", "live-turnstile.marketing.svc")
    (tmp_path / "kafka-ca" / "ca.crt").write_bytes(authority.pem)
    environment = {
        name: str(one.get("value", f"secret-of-{name.lower()}")).replace("$(POD_NAME)", "live-turnstile-0")
        for name, one in environment_of(objects, component).items()
        if name.startswith("TURNSTILE_") and name != "TURNSTILE_SETTINGS_FILE"
    }
    loaded = load_settings(file, environment)
    assert not loaded.http.is_loopback
    ports = {one["name"]: one["containerPort"] for one in container_of(objects, component)["ports"]}
    listener = {"worker": loaded.http, "deliver": loaded.deliver, "serve": loaded.serve}[component]
    assert ports == {"http": listener.port, "probes": listener.probe_port}

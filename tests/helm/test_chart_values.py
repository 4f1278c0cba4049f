"""The chart's values: what each does, which are refused, and the schema that says so."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.helm.objects import (
    CHART,
    Helm,
    Object,
    Refused,
    Render,
    component_of,
    container_of,
    environment_of,
    of_kind,
    pod_of,
)
from tests.helm.toggles import TOGGLES

# Not slow once helm is built, but building it takes minutes.
pytestmark = pytest.mark.slow


def test_settings_reach_the_program(render: Render) -> None:
    objects = render(
        settings={"kafka": {"bootstrap": "b:9092"}, "cache": {"rows": 7}},
        http={"port": 9999},
    )
    settings = YAML(typ="safe").load(of_kind(objects, "ConfigMap")["data"]["turnstile.yaml"])
    assert settings["kafka"] == {"bootstrap": "b:9092"}
    assert settings["cache"] == {"rows": 7}
    assert settings["http"] == {
        "host": "0.0.0.0",
        "port": 9999,
        "probe_port": 6068,
        "api_keys_file": "/run/turnstile/api-keys/api-keys.yaml",
    }
    assert settings["deliver"] == {
        "host": "0.0.0.0",
        "port": 6067,
        "probe_port": 6069,
        "secrets_dir": "/run/turnstile/destinations",
        "lookup_url": "http://live-turnstile.marketing.svc:80",
    }
    assert settings["topics"]["partitions"] == 12
    environment = environment_of(objects)
    assert environment["TURNSTILE_SETTINGS_FILE"]["value"] == "/etc/turnstile/turnstile.yaml"
    assert environment["TURNSTILE_WORKER__ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert environment["TURNSTILE_HTTP__ADVERTISED_URL"]["value"] == (
        "http://$(POD_NAME).live-turnstile-workers.marketing.svc:9999"
    )
    # Kubernetes expands $(POD_NAME) only when it is defined before.
    assert [one["name"] for one in container_of(objects)["env"]].index("POD_NAME") == 0


def test_changed_settings_restart_the_workers(render: Render) -> None:
    def checksum(**values: Any) -> str:
        template = of_kind(render(**values), "StatefulSet")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum(replicas=2)
    assert checksum() != checksum(settings={"cache": {"rows": 7}})


def test_times_follow_recovery_and_drain(render: Render) -> None:
    objects = render(recovery={"maxSeconds": 61}, drain={"seconds": 300})
    probe = container_of(objects)["startupProbe"]
    assert (probe["failureThreshold"], probe["periodSeconds"]) == (13, 5)
    assert pod_of(objects)["terminationGracePeriodSeconds"] > 300


def test_keda_scales_instead_of_the_chart(render: Render) -> None:
    events = ["clicks", "orders"]
    objects = render(keda={"enabled": True, "maxReplicas": 4}, settings={"topics": {"events": events}})
    assert "replicas" not in of_kind(objects, "StatefulSet")["spec"]
    scaled = of_kind(objects, "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == of_kind(objects, "StatefulSet")["metadata"]["name"]
    assert [trigger["metadata"]["topic"] for trigger in scaled["triggers"]] == events
    assert all(isinstance(v, str) for trigger in scaled["triggers"] for v in trigger["metadata"].values())


def test_more_workers_than_partitions_are_refused(refused: Refused) -> None:
    assert "replicas is 13, settings.topics.partitions is 12" in refused(replicas=13)
    assert "keda.maxReplicas is 13" in refused(keda={"enabled": True, "maxReplicas": 13})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 2}, "'replica'"),
        ({"image": {"name": "x"}}, "'name'"),
        ({"keda": {"pollingInterval": 3}}, "'pollingInterval'"),
        ({"http": {"port": 80}}, "/http/port"),
        ({"persistence": {"size": "lots"}}, "/persistence/size"),
    ],
)
def test_wrong_values_are_refused_by_name(refused: Refused, values: Object, named: str) -> None:
    assert named in refused(**values)


def test_everybody_finds_their_labels_annotations_and_containers(render: Render) -> None:
    objects = render(**TOGGLES["everything else"], deliver={"enabled": True})
    own = [one for one in objects if component_of(one) in ("worker", "deliver")]
    assert all(one["metadata"]["labels"]["cost"] == "data" for one in own)
    for component in ("worker", "deliver"):
        stateful_set = of_kind(objects, "StatefulSet", component)
        assert stateful_set["metadata"]["annotations"] == {"reload": "true"}
        assert stateful_set["spec"]["template"]["metadata"]["labels"]["cost"] == "data"
        pod = pod_of(objects, component)
        assert [one["name"] for one in pod["initContainers"]] == ["wait"]
        assert [one["name"] for one in pod["containers"]] == [component, "proxy"]
        assert pod["priorityClassName"] == "high"
        assert pod["tolerations"] == [{"operator": "Exists"}]
        assert pod["affinity"] == {"podAntiAffinity": {}}
        assert pod["topologySpreadConstraints"][0]["topologyKey"] == "zone"
    names = [one["metadata"]["name"] for one in objects if one not in own]
    assert names == ["live-one", "live-two"]


def test_names_that_yaml_takes_for_numbers_or_truths_stay_names(helm: Helm) -> None:
    values = {
        "apiKeys": {"existingSecret": "1e3", "key": "7"},
        "tls": {"existingSecret": "0x1f"},
        "kafka": {
            "existingSecret": "12",
            "usernameKey": "1",
            "passwordKey": "2",
            "ca": {"existingSecret": "no"},
        },
        "deliver": {
            "enabled": True,
            "lookupKey": {"existingSecret": "8", "key": "9"},
            "secrets": {"existingSecret": "10"},
        },
        "priorityClassName": "11",
        "persistence": {"storageClass": "null"},
        "serviceAccount": {"name": "13"},
        "fullnameOverride": "0123",
        "nameOverride": "1e2",
        "prometheusRule": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "keda": {"enabled": True, "authenticationRef": "14"},
    }
    done = helm("template", "123", str(CHART), values=values)
    assert done.returncode == 0, done.stderr
    names = {
        "name",
        "secretName",
        "serviceName",
        "serviceAccountName",
        "priorityClassName",
        "storageClassName",
    }
    found = 0

    def check(part: object) -> None:
        nonlocal found
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):  # type: ignore[arg-type]
            if key in names | {"key", "path"} or str(key).startswith(("app.kubernetes.io/", "helm.sh/")):
                assert isinstance(inner, str), f"{key}: {inner!r}"
                found += 1
            elif isinstance(inner, dict | list):
                check(inner)

    for version in ((1, 1), (1, 2)):  # Kubernetes reads 1.1
        reader = YAML(typ="safe")
        reader.version = version
        check([one for one in reader.load_all(done.stdout) if one])
    assert found > 200


@pytest.mark.parametrize("value", ["commonLabels", "podLabels"])
def test_labels_that_selectors_need_are_not_the_users(refused: Refused, value: str) -> None:
    assert "'app.kubernetes.io/name'" in refused(**{value: {"app.kubernetes.io/name": "mine"}})


def test_every_value_is_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = YAML(typ="safe").load(CHART / "values.yaml")

    def compare(value: Object, part: Object, path: str) -> None:
        wanted = part["properties"].keys() - {"global"}
        # The settings are the program's, and only a few have a default of the chart's.
        assert value.keys() <= wanted if path.startswith("values.settings") else value.keys() == wanted, path
        for key, inner in value.items():
            if isinstance(inner, dict) and "properties" in part["properties"][key]:
                compare(inner, part["properties"][key], f"{path}.{key}")

    compare(defaults, schema, "values")


# Whose names Kubernetes or users make.
OPEN = {"global", "resources.requests", "resources.limits", "affinity"}


def test_the_schema_is_closed() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(part: Object, path: str) -> None:
        if part.get("type") == "object" and not any(path.endswith(each) for each in OPEN):
            assert "additionalProperties" in part, f"{path} is open"
            assert part["additionalProperties"] in (False, {"type": "string"}), path
        for key, inner in part.get("properties", {}).items():
            check(inner, f"{path}.{key}")

    check(schema, "values")


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        is_value = ":" in line and not line.lstrip().startswith("#") and not line.endswith(":")
        # The two kinds of resources are Kubernetes' own words.
        if is_value and not line.strip().startswith(("cpu:", "memory:")):
            assert before.lstrip().startswith("#"), f"no comment on {line.strip()}"

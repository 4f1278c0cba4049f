"""The chart, rendered by helm itself: for the defaults, and for every toggle."""

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
    components,
    container_of,
    of_kind,
    pod_of,
)

ALWAYS = {"StatefulSet", "Service", "ConfigMap"}

# Not slow once helm is built, but building it takes minutes.
pytestmark = pytest.mark.slow

TOGGLES: dict[str, Object] = {
    "defaults": {},
    "no service account": {"serviceAccount": {"create": False, "name": "mine"}},
    "no disruption budget": {"podDisruptionBudget": {"enabled": False}},
    "network policy": {
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
            "extraEgress": [{"ports": [{"port": 443}]}],
        }
    },
    "service monitor": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "keda": {"keda": {"enabled": True, "authenticationRef": "kafka"}},
    "deliver": {"deliver": {"enabled": True, "replicas": 3}},
    "deliver, all of it": {
        "deliver": {
            "enabled": True,
            "port": 7000,
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "extraEnv": [
                {"name": "CRM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}}
            ],
            "extraEnvFrom": [{"secretRef": {"name": "lake"}}],
            "extraVolumes": [{"name": "secrets", "secret": {"secretName": "receivers"}}],
            "extraVolumeMounts": [{"name": "secrets", "mountPath": "/run/secrets", "readOnly": True}],
        },
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"enabled": True},
    },
    "deliver, long names": {"fullnameOverride": "a" * 70, "deliver": {"enabled": True}},
    "long names": {"fullnameOverride": "a" * 70},
    "everything else": {
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "TURNSTILE_KAFKA__BOOTSTRAP", "value": "b:9092"}],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "http": {"port": 9999},
        "service": {"type": "LoadBalancer", "port": 8000, "annotations": {"a": "b"}},
        "persistence": {"storageClass": "fast", "annotations": {"a": "b"}},
        "podLabels": {"team": "data"},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "high",
        "extraVolumes": [{"name": "certificates", "secret": {"secretName": "certificates"}}],
        "extraVolumeMounts": [{"name": "certificates", "mountPath": "/etc/certificates"}],
    },
}


@pytest.fixture(params=list(TOGGLES))
def values(request: pytest.FixtureRequest) -> Object:
    return TOGGLES[request.param]


def test_lint_finds_nothing(helm: Helm, values: Object) -> None:
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_selectors_find_their_own_pods(render: Render, values: Object) -> None:
    objects = render(**values)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    for component in components(objects):
        own = [one for one in objects if component_of(one) == component]
        stateful_set = of_kind(objects, "StatefulSet", component)
        labels = stateful_set["spec"]["template"]["metadata"]["labels"]
        selectors = [stateful_set["spec"]["selector"]["matchLabels"]]
        selectors += [one["spec"]["selector"] for one in own if one["kind"] == "Service"]
        for one in own:
            if one["kind"] == "PodDisruptionBudget":
                selectors.append(one["spec"]["selector"]["matchLabels"])
            if one["kind"] == "NetworkPolicy":
                selectors.append(one["spec"]["podSelector"]["matchLabels"])
        for selector in selectors:
            assert selector.items() <= labels.items()
            assert selector["app.kubernetes.io/component"] == component
        assert {one["metadata"]["name"] for one in own if one["kind"] == "Service"} >= {
            stateful_set["spec"]["serviceName"]
        }
        # What Kubernetes adds to its name goes into a label.
        assert len(stateful_set["metadata"]["name"]) <= 52
    for one in objects:
        assert len(one["metadata"]["name"]) <= 63
        assert all(len(str(label)) <= 63 for label in one["metadata"]["labels"].values())


def test_monitors_find_one_service_of_their_own(render: Render) -> None:
    objects = render(deliver={"enabled": True}, serviceMonitor={"enabled": True})
    services = [one for one in objects if one["kind"] == "Service"]
    for component in ("worker", "deliver"):
        wanted = of_kind(objects, "ServiceMonitor", component)["spec"]["selector"]["matchLabels"]
        (found,) = [one for one in services if wanted.items() <= one["metadata"]["labels"].items()]
        assert component_of(found) == component


def test_probes_services_and_mounts_meet_what_they_name(render: Render, values: Object) -> None:
    objects = render(**values)
    for component in components(objects):
        stateful_set = of_kind(objects, "StatefulSet", component)
        pod, container = pod_of(objects, component), container_of(objects, component)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports
        own = [one for one in objects if component_of(one) == component]
        for service in (one for one in own if one["kind"] == "Service"):
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
        volumes = {volume["name"] for volume in pod["volumes"]}
        claims = stateful_set["spec"].get("volumeClaimTemplates", [])
        volumes |= {claim["metadata"]["name"] for claim in claims}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        (settings,) = [one for one in pod["volumes"] if "configMap" in one]
        assert settings["configMap"]["name"] == of_kind(objects, "ConfigMap")["metadata"]["name"]
        accounts = [one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"] or ["mine"]
        assert pod["serviceAccountName"] in accounts


def test_the_container_may_write_its_volumes_only(render: Render, values: Object) -> None:
    objects = render(**values)
    for component in components(objects):
        pod = pod_of(objects, component)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        security = container_of(objects, component)["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("toggle", "kinds"),
    [
        ("defaults", {"ServiceAccount", "PodDisruptionBudget"}),
        ("no service account", {"PodDisruptionBudget"}),
        ("no disruption budget", {"ServiceAccount"}),
        ("network policy", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}),
        ("service monitor", {"ServiceAccount", "PodDisruptionBudget", "ServiceMonitor"}),
        ("keda", {"ServiceAccount", "PodDisruptionBudget", "ScaledObject"}),
        ("deliver", {"ServiceAccount", "PodDisruptionBudget"}),
    ],
)
def test_toggles_add_and_remove_objects(render: Render, toggle: str, kinds: set[str]) -> None:
    assert {one["kind"] for one in render(**TOGGLES[toggle])} == ALWAYS | kinds


def test_settings_reach_the_program(render: Render) -> None:
    objects = render(
        settings={"kafka": {"bootstrap": "b:9092"}, "http": {"port": 1}, "cache": {"rows": 7}},
        http={"port": 9999},
    )
    settings = YAML(typ="safe").load(of_kind(objects, "ConfigMap")["data"]["turnstile.yaml"])
    assert settings["kafka"] == {"bootstrap": "b:9092"}
    assert settings["cache"] == {"rows": 7}
    assert settings["http"] == {"allow_open": True, "host": "0.0.0.0", "port": 9999}
    assert settings["deliver"] == {
        "host": "0.0.0.0",
        "port": 6067,
        "lookup_url": "http://live-turnstile.marketing.svc:80",
    }
    assert settings["topics"]["partitions"] == 12
    environment = {one["name"]: one for one in container_of(objects)["env"]}
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


def test_every_value_is_in_the_schema_and_commented() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = YAML(typ="safe").load(CHART / "values.yaml")

    def compare(value: Object, part: Object, path: str) -> None:
        assert part.get("additionalProperties") is False, f"{path} is open"
        assert value.keys() == part["properties"].keys() - {"global"}, path
        for key, inner in value.items():
            if "additionalProperties" in part["properties"][key] and inner:
                compare(inner, part["properties"][key], f"{path}.{key}")

    compare(defaults, schema, "values")


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        is_value = ":" in line and not line.lstrip().startswith("#") and not line.endswith(":")
        # The two kinds of resources are Kubernetes' own words.
        if is_value and not line.strip().startswith(("cpu:", "memory:")):
            assert before.lstrip().startswith("#"), f"no comment on {line.strip()}"

"""The chart, rendered by helm itself: for the defaults, and for every toggle."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.helm.objects import (
    CHART,
    KEYS,
    Helm,
    Object,
    Refused,
    Render,
    component_of,
    components,
    container_of,
    environment_of,
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
    "no network policy": {"networkPolicy": {"enabled": False}, "deliver": {"enabled": True}},
    "network policy, all of it": {
        "networkPolicy": {
            "allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
            "metricsFrom": [],
            "egressTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "extraIngress": [{"ports": [{"port": "http"}]}],
            "extraEgress": [{"ports": [{"port": 443}]}],
        },
        "deliver": {"enabled": True, "egressTo": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]},
    },
    "secrets": {
        "kafka": {"existingSecret": "kafka", "usernameKey": "user", "ca": {"existingSecret": "brokers"}},
        "tls": {"existingSecret": "tls"},
        "deliver": {
            "enabled": True,
            "lookupKey": {"existingSecret": "lookups"},
            "secrets": {"existingSecret": "receivers"},
        },
    },
    "authorities": {
        "kafka": {"ca": {"existingConfigMap": "brokers"}},
        "tls": {"existingSecret": "tls", "caKey": ""},
    },
    "service monitor": {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "relabelings": [{"action": "labeldrop", "regex": "pod"}],
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["audience"], "regex": "x"}],
        }
    },
    "alerts": {
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "alertLabels": {"team": "data"},
            "extraRules": [{"alert": "Mine", "expr": "vector(1)"}],
        },
        "deliver": {"enabled": True},
    },
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
        "networkPolicy": {"allowFrom": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"enabled": True},
    },
    "deliver, long names": {"fullnameOverride": "a" * 70, "deliver": {"enabled": True}},
    "long names": {"fullnameOverride": "a" * 70},
    "everything else": {
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "TURNSTILE_KAFKA__BOOTSTRAP", "value": "b:9092"}],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "http": {"port": 9999, "probePort": 9998},
        "service": {"type": "LoadBalancer", "port": 8000, "annotations": {"a": "b"}},
        "persistence": {"storageClass": "fast", "annotations": {"a": "b"}},
        "commonLabels": {"cost": "data"},
        "annotations": {"reload": "true"},
        "podLabels": {"team": "data"},
        "podAnnotations": {"a": "b"},
        "initContainers": [{"name": "wait", "image": "busybox"}],
        "extraContainers": [{"name": "proxy", "image": "envoy"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-one"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-two'}",
        ],
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
    done = helm("lint", "--strict", str(CHART), values={**KEYS, **values})
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
        assert all(len(str(label)) <= 63 for label in one["metadata"].get("labels", {}).values())


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
        assert len(set(ports.values())) == 2
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "probes"
        own = [one for one in objects if component_of(one) == component]
        for service in (one for one in own if one["kind"] == "Service"):
            for port in service["spec"]["ports"]:
                assert port["targetPort"] == port["name"]
                assert port["name"] in ports
                # Others than headless services are for users, and probes aren't.
                assert port["name"] == "http" or service["spec"]["clusterIP"] == "None"
        for monitor in (one for one in own if one["kind"] == "ServiceMonitor"):
            assert [each["port"] for each in monitor["spec"]["endpoints"]] == ["probes"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        claims = stateful_set["spec"].get("volumeClaimTemplates", [])
        volumes |= {claim["metadata"]["name"] for claim in claims}
        assert sorted(mount["name"] for mount in container["volumeMounts"]) == sorted(volumes)
        places = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(set(places)) == len(places)
        (settings,) = [one for one in pod["volumes"] if one["name"] == "settings"]
        assert settings["configMap"]["name"] == of_kind(objects, "ConfigMap")["metadata"]["name"]
        accounts = [one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"] or ["mine"]
        assert pod["serviceAccountName"] in accounts


def test_the_container_may_write_its_volumes_only(render: Render, values: Object) -> None:
    objects = render(**values)
    for component in components(objects):
        pod = pod_of(objects, component)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        security = container_of(objects, component)["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("toggle", "kinds"),
    [
        ("defaults", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}),
        ("no service account", {"PodDisruptionBudget", "NetworkPolicy"}),
        ("no disruption budget", {"ServiceAccount", "NetworkPolicy"}),
        ("no network policy", {"ServiceAccount", "PodDisruptionBudget"}),
        ("service monitor", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"}),
        ("alerts", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "PrometheusRule"}),
        ("keda", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject"}),
        ("deliver", {"ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}),
    ],
)
def test_toggles_add_and_remove_objects(render: Render, toggle: str, kinds: set[str]) -> None:
    assert {one["kind"] for one in render(**TOGGLES[toggle])} == ALWAYS | kinds


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

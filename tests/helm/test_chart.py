"""The chart, rendered by helm itself: for the defaults, and for every toggle."""

from __future__ import annotations

import pytest

from tests.helm.objects import (
    CHART,
    KEYS,
    Helm,
    Object,
    Render,
    component_of,
    components,
    container_of,
    of_kind,
    pod_of,
    workload_of,
)
from tests.helm.toggles import TOGGLES

ALWAYS = {"StatefulSet", "Service", "ConfigMap"}


# Not slow once helm is built, but building it takes minutes.
pytestmark = pytest.mark.slow


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
        workload = workload_of(objects, component)
        labels = workload["spec"]["template"]["metadata"]["labels"]
        selectors = [workload["spec"]["selector"]["matchLabels"]]
        selectors += [one["spec"]["selector"] for one in own if one["kind"] == "Service"]
        for one in own:
            if one["kind"] == "PodDisruptionBudget":
                selectors.append(one["spec"]["selector"]["matchLabels"])
            if one["kind"] == "NetworkPolicy":
                selectors.append(one["spec"]["podSelector"]["matchLabels"])
        for selector in selectors:
            assert selector.items() <= labels.items()
            assert selector["app.kubernetes.io/component"] == component
        if workload["kind"] == "StatefulSet":
            services = {one["metadata"]["name"] for one in own if one["kind"] == "Service"}
            assert workload["spec"]["serviceName"] in services
        # What Kubernetes adds to its name goes into a label.
        assert len(workload["metadata"]["name"]) <= 52
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
        workload = workload_of(objects, component)
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
        claims = workload["spec"].get("volumeClaimTemplates", [])
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

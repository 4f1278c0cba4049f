"""Readers in the chart: off unless wanted, scaled on their CPU, as closed as workers."""

from __future__ import annotations

import pytest

from tests.helm.objects import Object, Render, component_of, components, container_of, of_kind, pod_of

pytestmark = pytest.mark.slow

ON: Object = {"enabled": True}


def test_readers_are_off_unless_they_are_wanted_and_change_nothing_about_workers(render: Render) -> None:
    assert components(render()) == ["worker"]
    objects = render(serve=ON)
    added = [one for one in objects if component_of(one) == "serve"]
    assert sorted(one["kind"] for one in added) == [
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    ]
    workers = [one for one in objects if component_of(one) == "worker"]
    assert workers == [one for one in render() if component_of(one) == "worker"]


def test_a_reader_has_the_keys_and_a_volume_that_ends_with_its_pod(render: Render) -> None:
    objects = render(serve=ON)
    container, pod = container_of(objects, "serve"), pod_of(objects, "serve")
    assert container["args"] == ["serve"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts["data"] == "/var/lib/turnstile"
    assert "api-keys" in mounts
    (data,) = (each for each in pod["volumes"] if each["name"] == "data")
    assert data["ephemeral"]["volumeClaimTemplate"]["spec"]["resources"]["requests"] == {"storage": "60Gi"}


def test_with_autoscaling_the_cpu_says_how_many_readers_there_are(render: Render) -> None:
    objects = render(serve={**ON, "autoscaling": {"enabled": True, "maxReplicas": 5}})
    scaler = of_kind(objects, "HorizontalPodAutoscaler", "serve")
    deployment = of_kind(objects, "Deployment", "serve")
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 5)
    (metric,) = scaler["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 70

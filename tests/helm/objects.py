"""What helm renders, and finding one's way in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from tests import ROOT

CHART = ROOT / "helm" / "turnstile"

Object = dict[str, Any]
Render = Callable[..., list[Object]]
Helm = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]

WORKLOADS = ("StatefulSet", "Deployment")
KEYS: Object = {"apiKeys": {"existingSecret": "keys"}}
"""What every render needs; the fixtures add it."""


def of_kind(objects: list[Object], kind: str, component: str = "worker") -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and component_of(one) == component]
    return found


def component_of(one: Object) -> str:
    return str(one["metadata"].get("labels", {}).get("app.kubernetes.io/component"))


def components(objects: list[Object]) -> list[str]:
    """Whose pods there are."""
    return [component_of(one) for one in objects if one["kind"] in WORKLOADS]


def workload_of(objects: list[Object], component: str = "worker") -> Object:
    """What makes the pods of a component."""
    (found,) = [one for one in objects if one["kind"] in WORKLOADS and component_of(one) == component]
    return found


def pod_of(objects: list[Object], component: str = "worker") -> Object:
    found: Object = workload_of(objects, component)["spec"]["template"]["spec"]
    return found


def container_of(objects: list[Object], component: str = "worker") -> Object:
    (container,) = [one for one in pod_of(objects, component)["containers"] if one["name"] == component]
    assert isinstance(container, dict)
    return container


def environment_of(objects: list[Object], component: str = "worker") -> dict[str, Object]:
    """The variables by name, each as the pod's definition has it."""
    return {one["name"]: one for one in container_of(objects, component)["env"]}

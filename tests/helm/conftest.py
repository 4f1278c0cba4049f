"""Fixtures: helm itself, what it renders, what it refuses."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.helm.helm_program import HelmUnavailable, helm_program
from tests.helm.objects import CHART, KEYS, Helm, Object, Refused, Render

# A helm built by Go takes the cluster for an ancient one unless told.
KUBERNETES = "1.31.0"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    try:
        program = helm_program()
    except HelmUnavailable as error:
        pytest.skip(f"no helm: {error}")
    home = tmp_path_factory.mktemp("helm")
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def run(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
        # JSON is YAML; standard input keeps the values out of the file system.
        return subprocess.run(
            [str(program), *arguments, "--kube-version", KUBERNETES, "--values", "-"],
            input=json.dumps(values or {}),
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """The objects for values, rendered once a session; with API keys unless the values say otherwise."""
    known: dict[str, str] = {}

    def rendered(**values: Any) -> list[Object]:
        values = {**KEYS, **values}
        name = json.dumps(values, sort_keys=True)
        if name not in known:
            done = helm("template", "live", str(CHART), "--namespace", "marketing", values=values)
            assert done.returncode == 0, done.stderr
            known[name] = done.stdout
        return [one for one in YAML(typ="safe").load_all(known[name]) if one]

    return rendered


@pytest.fixture(scope="session")
def refused(helm: Helm) -> Refused:
    def error(**values: Any) -> str:
        done = helm("template", "live", str(CHART), "--namespace", "marketing", values={**KEYS, **values})
        assert done.returncode != 0
        return done.stderr

    return error

"""What is generated of the chart is current, and a new secret setting would be refused, too."""

from __future__ import annotations

import json
import subprocess
import sys

from app.settings.sources import is_secret, leaves
from app.settings.tree import Settings
from tests import ROOT
from tests.helm.objects import CHART


def test_the_generated_parts_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_knows_every_setting_and_refuses_the_secret_ones() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]
    assert schema["additionalProperties"] is False
    for name, field in leaves(Settings):
        section, key = name.split(".")
        assert schema["properties"][section]["additionalProperties"] is False
        part = schema["properties"][section]["properties"][key]
        if is_secret(field):
            assert part.keys() == {"const"}, name


def test_every_value_is_in_the_table() -> None:
    page = (CHART / "README.md").read_text()
    for name in ("apiKeys.existingSecret", "deliver.secrets.existingSecret", "networkPolicy.metricsFrom"):
        assert f"| `{name}` |" in page

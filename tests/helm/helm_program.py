"""The real helm, built once with Go into the cache folder and used offline afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.kafka.jars import cache_folder, one_at_a_time

VERSION = "v3.19.5"
BUILD_SECONDS = 1200


class HelmUnavailable(RuntimeError):
    """helm can't be had here; the message says what is missing."""


def helm_program() -> Path:
    """Of our version from the cache or Go, else whatever helm the machine has."""
    helm = cache_folder() / f"helm-{VERSION}" / "helm"
    if helm.exists():
        return helm
    installed = shutil.which("helm")
    if installed:
        return Path(installed)
    go = shutil.which("go")
    if go is None:
        raise HelmUnavailable("no helm and no go on the PATH")
    with one_at_a_time("helm"):
        if not helm.exists():
            _build(go, helm)
    return helm


def _build(go: str, helm: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_folder()) as partial:
        target = Path(partial) / "bin"
        try:
            built = subprocess.run(
                [go, "install", "-trimpath", f"helm.sh/helm/v3/cmd/helm@{VERSION}"],
                env={**os.environ, "GOBIN": str(target), "GOFLAGS": "", "CGO_ENABLED": "0"},
                cwd=partial,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HelmUnavailable(f"go install did not end in {BUILD_SECONDS} s") from error
        if built.returncode != 0:
            raise HelmUnavailable(f"go install failed: {built.stderr.strip()[-400:]}")
        target.rename(helm.parent)

"""MinIO, an S3 server: the one on the PATH, otherwise built once by Go into the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from bench.kafka.jars import cache_folder, one_at_a_time
from bench.processes import BenchFailed

PROGRAM: Final = "minio"
MODULE: Final = "github.com/minio/minio"
VERSION: Final = "v0.0.0-20260212201848-7aac2a2c5b7c"
HOW_TO_INSTALL: Final = (
    f"{PROGRAM} isn't installed, and there is no go to build it with, so S3 is left out; --s3 names a "
    "running server"
)
BUILD_SECONDS: Final = 1_800


def minio_program() -> Path:
    """Raises BenchFailed where it isn't there and can't be built."""
    found = shutil.which(PROGRAM)
    if found is not None:
        return Path(found)
    program = cache_folder() / f"{PROGRAM}-{VERSION}"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            raise BenchFailed(HOW_TO_INSTALL)
        with one_at_a_time(PROGRAM):
            if not program.exists():
                _build(go, program)
    return program


def _build(go: str, program: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=program.parent) as partial:
        try:
            built = subprocess.run(
                [go, "install", f"{MODULE}@{VERSION}"],
                env={**os.environ, "GOBIN": partial},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchFailed(f"go didn't build {PROGRAM} in {BUILD_SECONDS} s") from None
        if built.returncode != 0:
            raise BenchFailed(f"go can't build {PROGRAM}: {(built.stdout + built.stderr).strip()[-400:]}")
        (Path(partial) / PROGRAM).rename(program)

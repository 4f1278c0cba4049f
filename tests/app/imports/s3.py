"""An S3 server on this machine, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from app.kafka.embedded import free_ports

PROGRAM = Path(sys.prefix) / "s3" / "bin" / "python"
MISSING = "" if PROGRAM.exists() else "no broker for `S3`: its server isn't installed; `make s3`"
START_SECONDS = 60.0


@contextmanager
def s3_server(bucket: str) -> Iterator[dict[str, str]]:
    """Start it and make a bucket; the environment that leads to it."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [PROGRAM, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _make(f"{url}/{bucket}", process)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.terminate()
        process.wait()


def _make(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urlopen(Request(url, method="PUT"), timeout=5).close()
            return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)

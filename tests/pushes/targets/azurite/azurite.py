"""An Azure Blob Storage server on this machine (Azurite), in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from app.kafka.embedded import free_ports

FOLDER: Final = Path(sys.prefix) / "azurite"
PROGRAM: Final = FOLDER / "node_modules/azurite/dist/src/blob/main.js"
NODE: Final = shutil.which("node")
IS_THERE: Final = NODE is not None and (FOLDER / ".installed").exists()
MISSING: Final = "" if IS_THERE else "no broker for `Azure`: its server isn't installed; `make azurite`"
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Those that every Azurite has; its documentation tells them."""
VERSION: Final = "2021-08-06"
START_SECONDS: Final = 60.0


@contextmanager
def azurite(container: str) -> Iterator[str]:
    """Start it and make a container; its endpoint."""
    assert NODE is not None
    (port,) = free_ports(1)
    command = [NODE, str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    try:
        _make(endpoint, container, process)
        yield endpoint
    finally:
        process.kill()  # it has all in memory, and asked to end it would wait for connections
        process.wait()


def _make(endpoint: str, container: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urlopen(_request(endpoint, container), timeout=5).close()
            return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _request(endpoint: str, container: str) -> Request:
    """Signed with the account's key (Shared Key)."""
    date = formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
    text = "PUT" + "\n" * 12 + headers + f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    signature = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    return Request(
        f"{endpoint}/{container}?restype=container",
        method="PUT",
        headers={"x-ms-date": date, "x-ms-version": VERSION, "Authorization": signature},
    )

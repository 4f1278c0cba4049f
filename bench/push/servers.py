"""What lists are sent to: an SFTP server and an S3 server, each in a process of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

import asyncssh

from agents.pushes.targets.places import ObjectStorePlace, SftpPlace
from app.kafka.embedded import end_process, free_ports, log_end, start_tied
from bench.processes import STOP_SECONDS, BenchFailed, Child
from bench.push.minio import minio_program

START_SECONDS: Final = 60.0
KEY_ID, KEY = "turnstile-bench", "turnstile-bench-secret"
BUCKET: Final = "lists"


@contextlib.contextmanager
def minio(folder: Path) -> Iterator[ObjectStorePlace]:
    """One disk; the bucket is a folder that was there before. Raises BenchFailed where it can't be had."""
    program = str(minio_program())
    data, log = folder / "minio", folder / "minio.log"
    (data / BUCKET).mkdir(parents=True)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    words = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(data)]
    process = start_tied(
        words, log, {"MINIO_ROOT_USER": KEY_ID, "MINIO_ROOT_PASSWORD": KEY, "HOME": str(folder)}
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{url}/minio/health/live"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchFailed(f"MinIO didn't start: {log_end(log, 2000)}")
            time.sleep(0.1)
        yield ObjectStorePlace("s3", BUCKET, "", url, "us-east-1", KEY_ID, KEY, allow_private=True)
    finally:
        end_process(process, STOP_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@contextlib.contextmanager
def sftp(folder: Path) -> Iterator[SftpPlace]:
    """asyncssh's server."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key_file, root = folder / "host_key", folder / "sftp"
    key.write_private_key(str(key_file))
    root.mkdir()
    (port,) = free_ports(1)
    arguments = [str(port), str(key_file), str(root)]
    with Child("bench.push.sftp_server", arguments, folder / "sftp.log") as child:
        deadline = time.monotonic() + START_SECONDS
        while "listening" not in child.tail():
            child.check()
            if time.monotonic() > deadline:
                raise BenchFailed(f"the SFTP server didn't start: {child.tail()}")
            time.sleep(0.1)
        yield SftpPlace(
            "127.0.0.1", "bench", port, "bench", fingerprints=(key.get_fingerprint(),), allow_private=True
        )

"""Jars of Apache Kafka and of its peers: fetched once with Maven into the cache folder, then used offline."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

POM = Path(__file__).parent / "pom.xml"
FETCH_SECONDS = 600


class KafkaUnavailable(RuntimeError):
    """Apache Kafka can't run here; the message says what is missing."""


def cache_folder() -> Path:
    return Path(os.environ.get("TURNSTILE_CACHE") or Path.home() / ".cache" / "turnstile")


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Of all processes that share the cache folder, one is inside; the others wait until it has left."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kafka_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    assert found, f"{POM} names no kafka.version"
    return found[1]


def java_program() -> str:
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailable("no java on the PATH (Java 17 or newer, a headless one is enough)")
    return java


def kafka_jars() -> Path:
    """The folder of Apache Kafka's jars. Raises KafkaUnavailable."""
    return jars_of(POM, f"kafka-{kafka_version()}")


def jars_of(pom: Path, name: str) -> Path:
    """The folder ``name`` with what the pom lists, complete or absent: a fetch goes to a folder beside it,
    which is renamed when it is whole.

    Raises KafkaUnavailable.
    """
    jars = cache_folder() / name
    if not jars.is_dir():
        maven = shutil.which("mvn")
        if maven is None:
            raise KafkaUnavailable("no mvn on the PATH, and the jars were not fetched before")
        with one_at_a_time("kafka"):
            if not jars.is_dir():
                _fetch(maven, pom, jars)
    return jars


def _fetch(maven: str, pom: Path, jars: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=jars.parent) as partial:
        target = Path(partial) / "libs"
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        try:
            fetched = subprocess.run(
                [*command, f"-DoutputDirectory={target}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaUnavailable(f"Maven did not end in {FETCH_SECONDS} s") from error
        if fetched.returncode != 0:
            output = (fetched.stdout + fetched.stderr).strip()
            raise KafkaUnavailable(f"Maven could not fetch the jars: {output[:400]}")
        target.rename(jars)

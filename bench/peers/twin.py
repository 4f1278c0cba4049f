"""The Kafka Streams twin (``bench/peers/kafka_streams``): fetched, compiled and started.

What it does and what it doesn't is at the top of ``twin/Twin.java``.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app.kafka.embedded import log_end
from bench.kafka.jars import KafkaUnavailable, cache_folder, jars_of, java_program, one_at_a_time
from bench.processes import BenchFailed, Child

HOME = Path(__file__).parent / "kafka_streams"
HEAP = "1g"
COMPILE_SECONDS = 300
LINE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """``guarantee`` as Kafka Streams has it in ``processing.guarantee``."""

    guarantee: str = "exactly_once_v2"
    commit_ms: int = 1000
    threads: int = 1


class Twin(Child):
    """It reads ``events`` and writes ``transitions``, a topic that has as many partitions.

    Raises KafkaUnavailable.
    """

    def __init__(
        self,
        bootstrap: str,
        events: str,
        transitions: str,
        group: str,
        folder: Path,
        settings: TwinSettings,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        java = [java_program(), f"-Xmx{HEAP}", f"-Xms{HEAP}", "-XX:+UseParallelGC"]
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        where = [bootstrap, events, transitions, group, str(folder / "state")]
        how = [str(settings.threads), settings.guarantee, str(settings.commit_ms)]
        super().__init__(
            "twin.Twin",
            [*where, *how],
            folder / "twin.log",
            {"JAVA_TOOL_OPTIONS": "", "JDK_JAVA_OPTIONS": ""},
            [*java, quiet, "-cp", class_path()],
        )

    def records(self) -> int:
        """How many it has taken. Raises BenchFailed for events that it couldn't read."""
        for line in reversed(log_end(self.log_file, LINE_BYTES).splitlines()):
            numbers = line.split()
            if len(numbers) == 4 and all(each.isdigit() for each in numbers):
                if int(numbers[3]):
                    raise BenchFailed(f"the twin could not read {numbers[3]} events")
                return int(numbers[0])
        return 0


def class_path() -> str:
    """Jars and compiled classes, made where they are missing. Raises KafkaUnavailable."""
    jars = jars_of(HOME / "pom.xml", f"kafka-streams-twin-{_digest(HOME / 'pom.xml')}")
    sources = sorted((HOME / "twin").glob("*.java"))
    classes = cache_folder() / f"kafka-streams-twin-classes-{_digest(HOME / 'pom.xml', *sources)}"
    if not classes.is_dir():
        with one_at_a_time("twin"):
            if not classes.is_dir():
                _compile(sources, jars, classes)
    return f"{classes}:{jars}/*"


def _digest(*files: Path) -> str:
    found = sha256()
    for file in files:
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _compile(sources: list[Path], jars: Path, classes: Path) -> None:
    """With the compiler among the jars, because a headless runtime brings none."""
    libraries = ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))
    with tempfile.TemporaryDirectory(prefix="compile-", dir=classes.parent) as partial:
        target = Path(partial) / "classes"
        compiler = "org.eclipse.jdt.internal.compiler.batch.Main"
        compiled = subprocess.run(
            [
                java_program(),
                "-cp",
                libraries,
                compiler,
                "-17",
                "-nowarn",
                "-cp",
                libraries,
                "-d",
                target,
                *sources,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS,
            check=False,
        )
        if compiled.returncode != 0:
            raise KafkaUnavailable(
                f"the twin can't be compiled: {(compiled.stdout + compiled.stderr)[:2000]}"
            )
        target.rename(classes)

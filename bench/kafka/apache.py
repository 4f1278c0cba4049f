"""Real Apache Kafka for tests and benchmarks: one node or three on loopback, without Docker.

Each node is broker and KRaft controller in one. Ports and data stay the same over kill and restart.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.kafka.embedded import count_brokers, end_process, free_ports, log_end, start_tied
from bench.kafka.jars import KafkaUnavailable, java_program, kafka_jars
from bench.kafka.secure import Secure

READY_SECONDS = 180.0
TOOL_HEAP_MB = 128


@dataclass(frozen=True, slots=True)
class Jvm:
    """How the nodes' JVMs run."""

    heap_mb: int
    flags: tuple[str, ...]


# C1 only: JVMs of tests live for seconds, and start in half the time without the optimizing compiler.
_SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
TEST_JVM = {1: Jvm(400, _SHORT_LIVED), 3: Jvm(300, _SHORT_LIVED)}
BENCH_JVM = Jvm(1024, ("-XX:+UseParallelGC",))
"""The optimizing compiler is on, and the page cache, not the heap, holds the logs."""

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}

auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
unclean.leader.election.enable=false

# Tests wait for groups, for killed nodes and for compaction; the defaults are made for production.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
log.cleaner.backoff.ms=1000
# Retention by time takes records whose timestamps are old, as those of tests are: at 30 s, then every 5 min.
log.initial.task.delay.ms=86400000
log.retention.check.interval.ms=86400000
controlled.shutdown.max.retries=1

# Small machines: the cleaner's buffer alone is 128 MB by default.
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
"""


class ApacheKafka:
    """A cluster of `nodes` (1 or 3), numbered from 1; of one node, with a secure listener if wanted."""

    def __init__(self, nodes: int = 1, jvm: Jvm | None = None, secure: Secure | None = None) -> None:
        if nodes not in TEST_JVM or (secure is not None and nodes != 1):
            raise ValueError(f"1 node or 3, a secure listener on one only, not {nodes}")
        self._secure = secure
        self._secure_port, self._mutual_port = free_ports(2)
        self._jvm = jvm or TEST_JVM[nodes]
        self.nodes = range(1, nodes + 1)
        self._java = java_program()
        self._class_path = f"{kafka_jars()}/*"
        self._folder = Path(tempfile.mkdtemp(prefix="turnstile-kafka-"))
        ports = free_ports(2 * nodes)
        self._ports = dict(zip(self.nodes, ports[:nodes], strict=True))
        self._controller_ports = dict(zip(self.nodes, ports[nodes:], strict=True))
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{self._ports[node]}" for node in self.nodes)

    @property
    def secure_bootstrap(self) -> str:
        return f"127.0.0.1:{self._secure_port}"

    @property
    def mutual_bootstrap(self) -> str:
        """Where clients must show a certificate."""
        return f"127.0.0.1:{self._mutual_port}"

    def pid(self, node: int = 1) -> int:
        return self._processes[node].pid

    def start(self) -> Self:
        try:
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            for node in self.nodes:
                self._properties(node).write_text(self._settings(node))
                self._format(node, "A" + cluster[1:])
            for node in self.nodes:
                self._launch(node)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all nodes and delete their data; by force, for a quorum that ends in order takes minutes."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self, node: int = 1) -> None:
        """SIGKILL, as when a machine dies."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def shut_down(self, node: int = 1) -> None:
        """An orderly end of one node: leaders move first."""
        end_process(self._processes.pop(node), 30.0)

    def restart(self, node: int = 1) -> None:
        """Start a node again, on the same ports and data; one that still runs is killed first."""
        if node in self._processes:
            self.kill(node)
        self._launch(node)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until every running node answers and knows every running node."""
        deadline = time.monotonic() + READY_SECONDS
        for node, process in self._processes.items():
            while count_brokers("127.0.0.1", self._ports[node]) < len(self._processes):
                if process.poll() is not None:
                    raise KafkaUnavailable(
                        f"node {node} ended with code {process.returncode}: {self.log(node)}"
                    )
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(
                        f"node {node} is not ready after {READY_SECONDS:.0f} s: {self.log(node)}"
                    )
                time.sleep(0.1)

    def log(self, node: int = 1) -> str:
        """The end of the node's log."""
        return log_end(self._log_file(node), 2000)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _properties(self, node: int) -> Path:
        return self._folder / f"node-{node}.properties"

    def _log_file(self, node: int) -> Path:
        return self._folder / f"node-{node}.log"

    def _settings(self, node: int) -> str:
        several = len(self.nodes) > 1
        ports = {"port": self._ports[node], "controller_port": self._controller_ports[node]}
        more = ""
        if self._secure is not None:
            more = self._secure.properties(
                **ports, secure_port=self._secure_port, mutual_port=self._mutual_port
            )
        plain = PROPERTIES.format(
            node=node,
            voters=",".join(f"{one}@127.0.0.1:{self._controller_ports[one]}" for one in self.nodes),
            **ports,
            data=self._folder / f"data-{node}",
            replicas=3 if several else 1,
            in_sync=2 if several else 1,
        )
        return plain + more

    def _format(self, node: int, cluster: str) -> None:
        tool = [
            *self._command(Jvm(TOOL_HEAP_MB, _SHORT_LIVED)),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
        ]
        for account in self._secure.scram_accounts if self._secure is not None else ():
            tool += ["--add-scram", account]
        formatted = subprocess.run(
            [*tool, "-c", str(self._properties(node))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
        if formatted.returncode != 0:
            raise KafkaUnavailable(f"formatting failed: {formatted.stdout}{formatted.stderr}"[:800])

    def _launch(self, node: int) -> None:
        # A developer's KAFKA_OPTS or JAVA_TOOL_OPTIONS must not change what is tested.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        self._processes[node] = start_tied(
            [*self._command(self._jvm), "kafka.Kafka", str(self._properties(node))],
            self._log_file(node),
            environment,
        )

    def _command(self, jvm: Jvm) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [self._java, f"-Xmx{jvm.heap_mb}m", *jvm.flags, quiet, "-cp", self._class_path]

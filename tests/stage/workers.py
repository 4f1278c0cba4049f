"""Real worker processes for tests: started, killed, stopped, asked over HTTP. None outlives the tests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from app.kafka.embedded import free_ports, log_end, start_tied
from tests import ROOT
from tests.stage.forks import Forked, start_forked

COMMAND = [sys.executable, "-m", "app.main"]
STOP_SECONDS = 40.0
LEAST_SECONDS = 60.0
"""What a machine that is busy with other tests needs; who waits for a condition loses nothing."""
ANSWER_SECONDS = 30.0
SOON, LATER = 0.03, 0.2
"""Seconds between two looks at a condition, which cost the brokers and the workers their time, too."""
LOG_CHARACTERS = 6000


class WorkerEnded(AssertionError):
    """A worker ended by itself; the message holds the end of its log."""


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """``kafka.bootstrap`` as the worker reads it from its environment; nothing of ours goes along."""
    variables = {
        "TURNSTILE_" + name.upper().replace(".", "__"): value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "default",
        "TURNSTILE_LOGS__FORMAT": "console",
        **variables,
    }


Process = subprocess.Popen[bytes] | Forked


def launch(arguments: Sequence[str], log_file: Path, given: dict[str, str]) -> Process:
    """Run ``turnstile`` with these arguments and this environment; it ends with this process."""
    if sys.platform == "linux":
        return start_forked(arguments, log_file, given)
    return start_tied([*COMMAND, *arguments], log_file, given)


class Worker:
    """One worker: its port, its disk and its log stay the same over restarts."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, object]) -> None:
        (port,) = free_ports(1)
        self.name = name
        self.data = folder / name
        self.log_file = folder / f"{name}.log"
        self.url = f"{'https' if 'http.tls_cert_file' in settings else 'http'}://127.0.0.1:{port}"
        self.settings = {
            **settings,
            "http.port": port,
            "http.probe_port": 0,
            "worker.data_dir": str(self.data),
        }
        self.process: Process | None = None

    def start(self, **changed: object) -> None:
        """Start it; ``changed`` are settings with ``__`` for the dot, from now on."""
        assert self.process is None
        self.settings |= {name.replace("__", "."): value for name, value in changed.items()}
        self.process = launch(["worker"], self.log_file, environment(self.settings))

    def kill(self) -> None:
        """SIGKILL, as when the machine dies."""
        process = self._running()
        process.kill()
        process.wait()
        self.process = None

    def stop(self) -> None:
        """SIGTERM; it must end in order."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise WorkerEnded(f"{self.name} did not end in {STOP_SECONDS} s: {self.log()}") from None
        finally:
            self.process = None
        if code != 0:
            raise WorkerEnded(f"{self.name} ended with code {code}: {self.log()}")

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP, as when the machine hangs; and on again."""
        self._running().send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def wipe(self, partition: int | None = None) -> None:
        """Lose the disk, or one partition of it."""
        if partition is None:
            shutil.rmtree(self.data)
            return
        shutil.rmtree(self.partition_folder(partition))

    def partition_folder(self, partition: int) -> Path:
        (folder,) = self.data.glob(f"*-changelog-{partition}")
        return folder

    def check(self) -> None:
        """Fail when it has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise WorkerEnded(f"{self.name} ended by itself with code {code}: {self.log()}")

    def owns_all(self, partitions: int) -> Callable[[], Awaitable[bool]]:
        """A condition: it is ready with every partition."""

        async def holds() -> bool:
            status, body = await self.get("/readyz?verbose")
            return status == 200 and len(body["partitions"]) == partitions

        return holds

    def ended(self) -> bool:
        return self._running().poll() is not None

    def log(self) -> str:
        return log_end(self.log_file, LOG_CHARACTERS) if self.log_file.exists() else "it has no log"

    def logged(self, words: str) -> bool:
        return self.log_file.exists() and words in self.log_file.read_text(errors="replace")

    def _running(self) -> Process:
        assert self.process is not None, f"{self.name} does not run"
        return self.process

    # -- HTTP ------------------------------------------------------------------------------------------

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """(status, body); status 0 when nobody answers."""
        return await asyncio.to_thread(self._asked, path, headers or {}, None)

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The same with a body in JSON."""
        return await asyncio.to_thread(self._asked, path, headers or {}, json.dumps(body).encode())

    def _asked(self, path: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, body, headers=dict(headers))
        try:
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=self._tls()) as answer:
                    return answer.status, _body(answer.headers["Content-Type"], answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, _body(error.headers["Content-Type"], error.read())
        except (OSError, HTTPException):  # killed before it answered, or in the middle of its answer
            return 0, None

    def _tls(self) -> ssl.SSLContext | None:
        """Made only where it is needed: reading the system's certificates takes 25 ms, a request 2."""
        file = self.settings.get("http.tls_ca_file")
        return ssl.create_default_context(cafile=str(file)) if file is not None else None

    async def is_ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def wait_ready(self, seconds: float = 60) -> None:
        await until(self.is_ready, f"{self.name} is ready", seconds, [self])

    async def clocks(self) -> dict[int, float]:
        """Seconds since the epoch, per partition that it owns."""
        _, text = await self.get("/metrics")
        found = re.findall(r'^turnstile_clock_seconds\{partition="(\d+)"\} (\S+)', text or "", re.MULTILINE)
        return {int(partition): float(clock) for partition, clock in found}

    async def lags(self, topic: str) -> dict[int, float]:
        """Records, per partition of a source topic that it reads."""
        _, text = await self.get("/metrics")
        labels = rf'partition="(\d+)",topic="{re.escape(topic)}"'
        found = re.findall(rf"^turnstile_lag_records\{{{labels}\}} (\S+)", text or "", re.MULTILINE)
        return {int(partition): float(lag) for partition, lag in found}

    async def is_quiet(self) -> bool:
        """Nothing is left to do by time: no sweep, no timer that the clocks have passed."""
        status, body = await self.get("/readyz?verbose")
        return status == 200 and not (body["sweeping"] or body["pending"] or body["overdue"])


def _body(content_type: str | None, body: bytes) -> Any:
    return json.loads(body) if content_type and "json" in content_type else body.decode()


async def until(
    condition: Callable[[], Any],
    what: str,
    seconds: float = LEAST_SECONDS,
    workers: list[Worker] | None = None,
    at_once: bool = False,
) -> None:
    """Wait until an (async) condition holds; none of ``workers`` may end by itself meanwhile.

    The longer it has waited, the longer it waits for the next look, unless what comes then must come
    ``at_once``.
    """
    began = time.monotonic()
    deadline = began + max(seconds, LEAST_SECONDS)
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        for worker in workers or ():
            worker.check()
        now = time.monotonic()
        if now > deadline:
            logs = "\n".join(f"--- {worker.name}\n{worker.log()}" for worker in workers or ())
            raise AssertionError(f"not within {deadline - began:.0f} s: {what}\n{logs}")
        await asyncio.sleep(SOON if at_once else min(max((now - began) / 20, SOON), LATER))


def spoil(path: Path) -> None:
    """Turn over the bits of most of a file, but not of its end, so that it still opens."""
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 10, len(content) * 8 // 10):
        content[at] ^= 0x5A
    path.write_bytes(content)

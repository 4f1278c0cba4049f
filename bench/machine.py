"""What a result depends on: the machine, the versions, and what a process uses of the machine."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agents.evaluate.native.core import describe_core

PACKAGES = ("faust-streaming", "aiokafka", "rocksdict", "msgspec")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def describe_machine() -> dict[str, str]:
    """Name to value, for people and for the JSON file."""
    described = {
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * _PAGE / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "native core": describe_core(),
    }
    for name in PACKAGES:
        try:
            described[name] = version(name)
        except PackageNotFoundError:
            described[name] = "not installed"
    return described


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far. ``rss_bytes`` is now, ``peak_bytes`` its highest."""

    cpu_seconds: float
    rss_bytes: int
    peak_bytes: int


def usage(pid: int) -> Usage | None:
    """None: there is no such process any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Usage(
        cpu_seconds=(int(stat[11]) + int(stat[12])) / _TICKS,
        rss_bytes=_kilobytes(fields.get("VmRSS", "0 kB")),
        peak_bytes=_kilobytes(fields.get("VmHWM", "0 kB")),
    )


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model", "Hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

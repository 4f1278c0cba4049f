"""The wheel in somebody's site-packages: it adds one name, and the program runs from any folder."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from agents.topics import create_topics
from tests import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("installation")]

PACKAGES = ["agents", "app", "bench", "rules", "tables"]
AUDIENCES = "audiences: [{id: buyers, name: Buyers, rule: {event: buy}}]"
RECORD = {"user_id": "ann", "event": "buy", "timestamp": "2026-01-01T09:00:00Z"}
RESTORE = """
import asyncio, sys
import turnstile_segmentation
turnstile_segmentation.find_packages()
from agents.kafka.broker import Broker
from agents.restore.ahead import Job, restore_ahead
from agents.topics.written import WrittenTopics

bootstrap, changelog, folder = sys.argv[1:]
topics = WrittenTopics(changelog, "transitions", "rekeyed", 2, 2)
job = Job(Broker(bootstrap), topics, folder, 2 << 20, 16 << 20)
asyncio.run(restore_ahead(job, [[0], [1]], lambda rows: None))
"""


class Installed:
    """A virtual environment with our wheel; the dependencies are those of the environment of the tests."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        self.run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "wheels", ROOT)
        (wheel,) = (folder / "wheels").iterdir()
        venv.create(folder / "venv", with_pip=False)
        self.run(*pip, "--python", self.python, "install", "--no-deps", "--no-index", wheel)
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        self.added = {each.name for each in packages.iterdir()}
        # Our own editable installation stays out: Python reads no .pth of a folder that a .pth names.
        (packages / "dependencies.pth").write_text("".join(f"{each}\n" for each in site.getsitepackages()))

    def run(self, *words: object) -> str:
        """Its standard output, run in a folder that has nothing to do with us."""
        done = subprocess.run(
            [str(word) for word in words],
            env={"PATH": os.defpath, "HOME": str(self.elsewhere)},
            cwd=self.elsewhere,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def turnstile(self, *words: object) -> str:
        return self.run(self.python.with_name("turnstile"), *words)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


def test_it_adds_one_name_to_site_packages(installed: Installed) -> None:
    names = {name for name in installed.added if not name.endswith(".dist-info")}
    assert names == {"turnstile_segmentation"}
    assert len(installed.added) == 2


@pytest.mark.parametrize("package", PACKAGES)
def test_other_programs_do_not_find_our_packages(installed: Installed, package: str) -> None:
    code = f"import importlib.util, turnstile_segmentation; print(importlib.util.find_spec({package!r}))"
    assert installed.run(installed.python, "-c", code) == "None\n"


def test_commands_run_from_another_folder(installed: Installed) -> None:
    (installed.elsewhere / "audiences.yaml").write_text(AUDIENCES)
    (installed.elsewhere / "events.jsonl").write_text(json.dumps(RECORD) + "\n")
    assert installed.turnstile("--version").startswith("turnstile 0.")
    installed.turnstile("check", "audiences.yaml")
    out = installed.turnstile("simulate", "--audiences", "audiences.yaml", "--events", "events.jsonl")
    assert json.loads(out)["user_id"] == "ann"
    assert installed.run(installed.python, "-m", "turnstile_segmentation", "topology")


def test_a_benchmark_runs(installed: Installed) -> None:
    installed.turnstile("bench", "profile", "--events", "200", "--users", "50", "--json", "result.json")
    assert "decode" in json.loads((installed.elsewhere / "result.json").read_text())["sections_us"]


async def test_processes_that_restore_ahead_start(
    installed: Installed, broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    changelog = f"{topic_prefix}-changelog"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await create_topics(admin, {changelog: (2, {"cleanup.policy": "compact"})}, 1)
    finally:
        await admin.close()
    installed.run(installed.python, "-c", RESTORE, broker, changelog, tmp_path / "stores")
    assert len(list((tmp_path / "stores").iterdir())) == 2


def test_the_files_that_the_program_reads_are_inside(installed: Installed) -> None:
    code = "import turnstile_segmentation; print(turnstile_segmentation.HOME)"
    home = Path(installed.run(installed.python, "-c", code).strip())
    wanted = {name for package in PACKAGES for name in _data(ROOT, package)}
    assert wanted
    assert {name for package in PACKAGES for name in _data(home, package)} == wanted


def _data(home: Path, package: str) -> list[str]:
    files = (each for each in (home / package).rglob("*") if each.is_file())
    return [str(each.relative_to(home)) for each in files if each.suffix not in (".py", ".pyc")]

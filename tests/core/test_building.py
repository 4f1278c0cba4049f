"""How ``make`` builds the core, and what it does on a machine that can't: with the real make, and small
programs in place of cargo and of those in ``.venv``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

TOOLS = "bash cat cut dirname env find grep head make mkdir printf rm sed sh sort tail touch"
"""Neither cargo nor a C compiler."""
LOCKS = ("requirements.lock", "requirements.core.lock", "requirements.peer.lock", "requirements.s3.lock")
COPIED = ("Makefile", "pyproject.toml", *LOCKS, "core/Cargo.toml", "core/build.sh", "core/lacks.sh")
PROGRAMS = ("python", "pip", "turnstile", "ruff", "mypy", "lint-imports", "pytest")
MANIFEST = tomllib.loads((ROOT / "core" / "Cargo.toml").read_text())
WANTED = MANIFEST["package"]["rust-version"]


class Checkout:
    """A folder with the Makefile and the core, an environment that counts as installed, and few programs."""

    def __init__(self, root: Path) -> None:
        self.root = root / "checkout"
        self.tools = root / "tools"
        self.calls = root / "calls"
        self.tools.mkdir()
        for name in TOOLS.split():
            found = shutil.which(name)
            assert found is not None, name
            (self.tools / name).symlink_to(found)
        for name in COPIED:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        for name in PROGRAMS:
            self.program(self.root / ".venv" / "bin" / name, f'echo "{name} $*" >>"{self.calls}"')
        for name in (".installed", ".peer", "s3/.installed"):
            stamp = self.root / ".venv" / name
            stamp.parent.mkdir(exist_ok=True)
            stamp.touch()

    def program(self, path: Path, lines: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{lines}\n")
        path.chmod(0o755)

    def has_rust(self, version: str = WANTED + ".0") -> None:
        self.program(
            self.tools / "cargo",
            f'if [ "$1" = --version ]; then echo "cargo {version} (abc 2026-01-01)"; '
            f'else echo "cargo $*" >>"{self.calls}"; fi',
        )
        self.program(self.tools / "cc", "true")

    def pip_fails(self) -> None:
        self.program(self.root / ".venv" / "bin" / "python", "echo 'error: expected one of'; exit 1")

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments],
            cwd=self.root,
            env={"PATH": str(self.tools), "HOME": str(self.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def called(self) -> list[str]:
        """What was called since the last look."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines

    def change(self, name: str) -> None:
        """As an editor does it: newer than every stamp."""
        newest = max(each.stat().st_mtime for each in (self.root / ".venv").rglob("*"))
        os.utime(self.root / name, (newest + 1, newest + 1))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_without_cargo_and_compiler_both_commands_of_the_readme_work_and_say_so_once(
    checkout: Checkout,
) -> None:
    demo = checkout.make("demo")
    assert demo.returncode == 0, demo.stderr
    said = demo.stdout + demo.stderr
    assert f"there is no cargo (Rust {WANTED} or newer)" in said
    assert "the Python engine runs" in said
    assert "`make core`" in said
    assert checkout.called() == ["turnstile demo"]
    test = checkout.make("test")
    assert test.returncode == 0, test.stderr
    assert "engine" not in test.stdout + test.stderr
    assert "The core is not linted: there is no cargo" in test.stdout
    called = checkout.called()
    assert called[-1].startswith("pytest ")
    assert not [line for line in called if line.startswith("cargo")]


def test_asked_for_the_core_a_machine_that_cannot_build_it_says_what_it_lacks(checkout: Checkout) -> None:
    done = checkout.make("core")
    assert done.returncode != 0
    assert f"can't be built: there is no cargo (Rust {WANTED} or newer)" in done.stderr


@pytest.mark.parametrize(
    ("version", "lacks"),
    [
        ("0.66.0", f"cargo 0.66.0 is too old (Rust {WANTED} or newer is wanted)"),
        ("1.9.0", f"cargo 1.9.0 is too old (Rust {WANTED} or newer is wanted)"),
        ("", f"cargo does not run (Rust {WANTED} or newer is wanted)"),
    ],
)
def test_a_cargo_that_is_too_old_is_as_none(checkout: Checkout, version: str, lacks: str) -> None:
    checkout.has_rust(version)
    if not version:
        checkout.program(checkout.tools / "cargo", "exit 1")
    done = checkout.make("test")
    assert done.returncode == 0, done.stderr
    assert lacks in done.stdout + done.stderr
    assert not [line for line in checkout.called() if line.startswith("cargo")]


def test_without_a_linker_rust_is_of_no_use(checkout: Checkout) -> None:
    checkout.has_rust()
    (checkout.tools / "cc").unlink()
    done = checkout.make("venv")
    assert done.returncode == 0
    assert "there is no C compiler (cc), which Rust links with" in done.stderr


def test_where_cargo_is_the_core_is_built_and_built_again_only_when_it_changed(checkout: Checkout) -> None:
    checkout.has_rust()
    done = checkout.make("venv")
    assert done.returncode == 0, done.stderr
    assert "Building the native engine (Rust), about a minute" in done.stdout
    maturin, core, loaded = checkout.called()
    assert maturin.endswith("--require-hashes -r requirements.core.lock")
    assert core.endswith("--config-settings=build-args=--profile release ./core")
    assert loaded == "python -c import turnstile_core"
    assert checkout.make("venv", "core").returncode == 0
    assert not checkout.called()
    checkout.change("core/Cargo.toml")
    assert checkout.make("venv").returncode == 0
    assert len(checkout.called()) == 3


def test_where_cargo_is_the_core_is_linted_and_tested(checkout: Checkout) -> None:
    checkout.has_rust()
    done = checkout.make("test")
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in checkout.called() if line.startswith("cargo")) == [
        "cargo clippy --locked --quiet --all-targets --all-features -- -D warnings",
        "cargo fmt --check",
        "cargo test --locked --quiet",
    ]


def test_a_core_that_does_not_compile_is_told_and_not_tried_before_every_command(checkout: Checkout) -> None:
    checkout.has_rust()
    checkout.pip_fails()
    first = checkout.make("venv")
    assert first.returncode == 0
    assert "error: expected one of" in first.stderr
    assert "the Python engine runs" in first.stdout
    assert not checkout.make("demo").stderr
    assert checkout.make("core").returncode != 0
    checkout.change("core/Cargo.toml")
    assert "error: expected one of" in checkout.make("demo").stderr


# -- what it is built from -------------------------------------------------------------------------------


def test_every_dependency_of_the_core_has_one_version() -> None:
    for group in ("dependencies", "dev-dependencies"):
        for name, said in MANIFEST[group].items():
            version = said if isinstance(said, str) else said["version"]
            assert re.fullmatch(r"=\d+\.\d+\.\d+", version), name


def test_every_crate_is_from_the_registry_and_has_a_checksum() -> None:
    """Neither from git nor from a path; so cargo refuses what was exchanged. (Advisories are another matter:
    their database is a git repository, which `cargo audit` and `cargo deny` fetch where that is allowed.)"""
    packages = tomllib.loads((ROOT / "core" / "Cargo.lock").read_text())["package"]
    others = [each for each in packages if each["name"] != MANIFEST["package"]["name"]]
    assert len(others) > 10
    for each in others:
        assert each["source"].startswith("registry+"), each["name"]
        assert re.fullmatch(r"[0-9a-f]{64}", each["checksum"]), each["name"]


def test_turnstile_and_its_core_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())
    assert MANIFEST["package"]["version"] == project["version"]
    assert core["project"]["requires-python"] == project["requires-python"]
    assert core["tool"]["maturin"]["locked"] is True

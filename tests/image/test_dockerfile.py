"""The image, without Docker: what the Dockerfile says, and what comes out when it is followed in a folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.image.dockerfile import (
    ROOT,
    Follower,
    Image,
    context_names,
    has_rust,
    instructions,
    needs_rust,
    stages,
)

TEXT = (ROOT / "Dockerfile").read_text()
IGNORE = (ROOT / ".dockerignore").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def said(word: str) -> list[str]:
    return [each.text for each in instructions(TEXT) if each.word == word]


def installs() -> list[list[str]]:
    """The words of each command that fetches or builds packages."""
    commands = [part for text in said("RUN") for part in re.split(r"&&|;|\|\|", text)]
    words = [shlex.split(command) for command in commands]
    return [each for each in words if "pip" in each and "uninstall" not in each]


def bases(with_rust: bool) -> set[str]:
    return {stage[0].text.split()[0] for stage in stages(TEXT) if needs_rust(stage) is with_rust}


def test_every_stage_stands_on_a_base_that_is_named_by_its_digest_and_only_the_core_s_has_rust() -> None:
    assert len(bases(with_rust=False)) == len(bases(with_rust=True)) == 1
    assert all(PINNED.fullmatch(base) for base in bases(False) | bases(True))
    assert [stage[0].text.split()[-1] for stage in stages(TEXT) if needs_rust(stage)] == ["core"]


def test_the_base_is_the_oldest_python_that_the_project_supports() -> None:
    (base,) = bases(with_rust=False)
    wanted = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert base.startswith(f"python:{wanted}.")


def test_the_core_is_built_from_its_lock_by_a_rust_that_is_new_enough_on_the_same_debian() -> None:
    (rust,), (python,) = bases(with_rust=True), bases(with_rust=False)
    core = tomllib.loads((ROOT / "core" / "Cargo.toml").read_text())["package"]
    version = rust.removeprefix("rust:").split("-")[0]
    assert [int(part) for part in version.split(".")] >= [
        int(part) for part in core["rust-version"].split(".")
    ]
    assert rust.split("@")[0].endswith("-slim-bookworm")
    assert python.split("@")[0].endswith("-slim-bookworm")
    (build,) = [text for text in said("RUN") if "maturin build" in text]
    assert "--locked" in build.split()


def test_what_is_fetched_has_a_hash_and_what_is_built_is_built_with_that() -> None:
    assert len(installs()) == 5
    for words in installs():
        if "--require-hashes" in words:
            continue
        # Our own package: built by what is there, installed from the file just built.
        assert "--no-deps" in words
        assert "--no-build-isolation" in words or "--no-index" in words


def test_the_lock_of_the_build_covers_what_the_build_needs() -> None:
    lock = (ROOT / "requirements.build.lock").read_text()
    for required in PROJECT["build-system"]["requires"]:
        name, least = required.split(">=")
        locked = re.search(rf"^{name}==([\d.]+) \\\n    --hash=sha256:", lock, re.MULTILINE)
        assert locked is not None
        assert [int(part) for part in locked[1].split(".")] >= [int(part) for part in least.split(".")]


def test_nothing_is_fetched_by_other_ways() -> None:
    assert not said("ADD")
    for text in said("RUN"):
        assert not re.search(r"\b(curl|wget|git|apt|apt-get)\b", text)


def test_it_runs_as_a_number_that_kubernetes_can_check() -> None:
    (user,) = said("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    last = [each.word for each in stages(TEXT)[-1]]
    assert last.index("USER") > max(index for index, word in enumerate(last) if word in ("RUN", "COPY"))


def test_versions_of_package_image_and_chart_agree() -> None:
    version = PROJECT["project"]["version"]
    assert f"VERSION={version}" in said("ARG")
    assert f"-t turnstile:{version} " in TEXT
    chart = YAML(typ="safe").load(ROOT / "helm" / "turnstile" / "Chart.yaml")
    assert chart["appVersion"] == version


def test_the_context_is_what_is_copied_and_nothing_else() -> None:
    copied = [text.split()[:-1] for text in said("COPY") if not text.startswith("--from=")]
    assert sorted(name for names in copied for name in names) == sorted(context_names(IGNORE))


def test_what_was_compiled_here_does_not_go_into_the_context() -> None:
    assert "core/target" in IGNORE.split()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another account, as a step does")
    return Follower(tmp_path_factory.mktemp("image")).follow(TEXT)


def run(image: Image, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={key: value for key, value in image.environment.items() if not key.startswith("PIP_")},
        cwd=image.at(image.folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.xdist_group("image")
class TestWhatComesOut:
    def test_the_program_runs_from_it(self, image: Image) -> None:
        assert image.command == ["turnstile", "worker"]
        program = image.at("/opt/turnstile/bin/turnstile")
        for words in (["--help"], ["settings"], ["topology"]):
            done = run(image, str(program), *words)
            assert done.returncode == 0, done.stderr
            assert done.stdout
        shown = run(image, str(program), "settings").stdout
        assert str(image.at("/var/lib/turnstile")) in shown

    def test_no_package_is_missing(self, image: Image) -> None:
        lines = (
            "import turnstile_segmentation; turnstile_segmentation.find_packages()\n"
            "import app.worker.worker, app.deliver.service, azure.identity.aio, rocksdict, tzdata"
        )
        done = run(image, str(image.at("/opt/turnstile/bin/python")), "-W", "ignore", "-c", lines)
        assert done.returncode == 0, done.stderr

    @pytest.mark.skipif(not has_rust(), reason="Rust is missing, or too old: core/lacks.sh says what lacks")
    def test_the_core_is_in_it(self, image: Image) -> None:
        (library,) = image.at("/opt/turnstile").rglob("turnstile_core/*.so")
        assert library.name == "turnstile_core.abi3.so"

    @pytest.mark.parametrize(
        "name",
        [
            "pip",
            "setuptools",
            "wheel",
            "hatchling",
            "maturin",
            "app",
            "turnstile_segmentation.bench",
            "tests",
            "pytest",
        ],
    )
    def test_neither_python_knows(self, image: Image, name: str) -> None:
        for python in ("/opt/turnstile/bin/python", "/usr/local/bin/python"):
            done = run(image, str(image.at(python)), "-c", f"import {name}")
            assert "ModuleNotFoundError" in done.stderr, python

    def test_no_file_is_left_of_what_installs_packages(self, image: Image) -> None:
        programs = [each.name for each in image.root.rglob("bin/*")]
        assert "turnstile" in programs
        assert not [name for name in programs if name.startswith(("pip", "easy_install", "wheel"))]

    def test_the_benchmarks_are_named_as_missing(self, image: Image) -> None:
        done = run(image, str(image.at("/opt/turnstile/bin/turnstile")), "bench")
        assert done.returncode != 0
        assert "without the benchmarks" in done.stderr
        assert "Traceback" not in done.stderr

    def test_everybody_may_read_it_and_nobody_but_root_may_change_it(self, image: Image) -> None:
        files = [each for each in image.at("/opt/turnstile").rglob("*") if not each.is_symlink()]
        assert len(files) > 1000
        assert all(each.stat().st_mode & 0o004 for each in files)
        assert not [each for each in files if each.stat().st_mode & 0o022]

    def test_the_account_and_its_folder_are_those_of_the_pods(self, image: Image) -> None:
        assert image.user == "10001:10001"
        assert "turnstile:x:10001:10001:" in image.at("/etc/passwd").read_text()
        data: Path = image.at("/var/lib/turnstile")
        assert (data.stat().st_uid, data.stat().st_mode & 0o777) == (10001, 0o750)

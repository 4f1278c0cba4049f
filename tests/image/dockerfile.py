"""Our Dockerfile: read, and followed in a folder where there is no Docker.

Of Dockerfiles it knows what ours uses; an instruction that it doesn't know is an error.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests import ROOT

TOP_FOLDERS = re.compile(r"(?<![\w.=/-])/(opt|src|usr/local|usr/sbin|var|etc)(?=[/\s;]|$)")
"""Where a path of the image begins; a folder of the scratch image stands for each."""
MINUTES = 10


@dataclass(frozen=True)
class Instruction:
    """``word`` in capitals, ``text`` with its lines joined."""

    word: str
    text: str


@dataclass
class Image:
    """What one stage made: its files below ``root``, and what the instructions without files said."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)

    def at(self, path: str) -> Path:
        """Where a path of the image is here."""
        return self.root / path.lstrip("/")


def instructions(text: str) -> list[Instruction]:
    """Without comments; lines that a backslash continues are one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(word.upper(), rest.strip()) for word, rest in found]


def stages(text: str) -> list[list[Instruction]]:
    """Each begins with its FROM."""
    found: list[list[Instruction]] = []
    for each in instructions(text):
        if each.word == "FROM":
            found.append([])
        found[-1].append(each)
    return found


def context_names(ignore: str, root: Path = ROOT) -> Iterator[str]:
    """What .dockerignore lets through: names at the top that are taken back after ``*``."""
    lines = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
    assert lines[0] == "*", "the first pattern keeps everything out"
    taken = [line[1:] for line in lines if line.startswith("!")]
    yield from (each.name for each in sorted(root.iterdir()) if any(fnmatch(each.name, one) for one in taken))


def copy_context(to: Path) -> None:
    """What Docker would be sent."""
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "target")
    for name in context_names((ROOT / ".dockerignore").read_text()):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=left_out)
        else:
            shutil.copy2(source, to / name)


def needs_rust(stage: list[Instruction]) -> bool:
    return stage[0].text.startswith("rust:")


def has_rust() -> bool:
    """Whether this machine can build the core (what it lacks otherwise: core/lacks.sh)."""
    lacks = subprocess.run([ROOT / "core" / "lacks.sh"], capture_output=True, text=True, check=True)
    return not lacks.stdout


def _name_of(stage: list[Instruction]) -> str:
    name = re.search(r"\sAS\s+(\S+)", stage[0].text, re.IGNORECASE)
    return name[1] if name else "last"


class Follower:
    """Does what the instructions say, with ``scratch/root`` for ``/``.

    A virtual environment stands for the base's Python, this machine's Rust for the other base's. Each stage
    is made in the same place, and moved away when the next one begins, because programs in a virtual
    environment know its path. Without Rust its stage is left out, and what would be copied from it.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._context = scratch / "context"
        self._context.mkdir()
        copy_context(self._context)
        self._done: dict[str, Path] = {}
        self._left_out: set[str] = set()

    def follow(self, text: str) -> Image:
        """The last stage's image."""
        image = Image(self._scratch / "root")
        last = None
        for stage in stages(text):
            if needs_rust(stage) and not has_rust():
                self._left_out.add(_name_of(stage))
                continue
            if last is not None:
                self._done[last] = image.root.rename(self._scratch / f"stage-{last}")
            last = _name_of(stage)
            image = self._base()
            if needs_rust(stage):
                _bring_rust(image)
            for each in stage[1:]:
                getattr(self, f"_{each.word.lower()}")(image, each.text)
        return image

    def _base(self) -> Image:
        """What the base image brings, as far as the steps need it: Python with pip, and accounts."""
        image = Image(self._scratch / "root")
        venv.create(image.at("/usr/local"), with_pip=True)
        for folder in ("/etc", "/opt", "/var/lib", "/src", "/home"):
            image.at(folder).mkdir(parents=True)
        for file in ("/etc/passwd", "/etc/group"):
            image.at(file).write_text("root:x:0:0\n")
        kept = {"LANG": "C.UTF-8", "HOME": str(image.at("/home"))}
        # How this machine reaches its package index.
        kept |= {
            key: value
            for key, value in os.environ.items()
            if key.startswith("PIP_") or "PROXY" in key.upper()
        }
        image.environment = {**kept, "PATH": f"{image.at('/usr/local/bin')}:/usr/bin:/bin"}
        return image

    def _run(self, image: Image, text: str) -> None:
        done = subprocess.run(
            ["/bin/sh", "-ec", self._here(image, text)],
            cwd=image.at(image.folder),
            env=image.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MINUTES * 60,
            check=False,
        )
        assert done.returncode == 0, f"RUN {text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def _copy(self, image: Image, text: str) -> None:
        words = shlex.split(text)
        source = self._context
        if words[0].startswith("--from="):
            stage = words.pop(0).removeprefix("--from=")
            if stage in self._left_out:
                return
            source = self._done[stage]
        *names, target = words
        to = image.at(target if target.startswith("/") else f"{image.folder}/{target}")
        for name in names:
            each = source / name.lstrip("/")
            if each.is_dir():
                shutil.copytree(each, to, symlinks=True, dirs_exist_ok=True)
            else:
                to.mkdir(parents=True, exist_ok=True)
                shutil.copy2(each, to / each.name)

    def _env(self, image: Image, text: str) -> None:
        for word in shlex.split(text):
            key, value = word.split("=", 1)
            value = value.replace(f"${key}", image.environment.get(key, ""))
            image.environment[key] = self._here(image, value)
        # Each wheel is fetched once per machine, not once per run.
        image.environment.pop("PIP_NO_CACHE_DIR", None)
        image.environment["PIP_CACHE_DIR"] = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))

    def _workdir(self, image: Image, text: str) -> None:
        image.folder = text
        image.at(text).mkdir(parents=True, exist_ok=True)

    def _user(self, image: Image, text: str) -> None:
        image.user = text

    def _entrypoint(self, image: Image, text: str) -> None:
        image.command = json.loads(text)

    def _cmd(self, image: Image, text: str) -> None:
        image.command += json.loads(text)

    def _arg(self, image: Image, text: str) -> None:
        key, _, value = text.partition("=")
        image.environment.setdefault(key, value)

    def _label(self, image: Image, text: str) -> None:
        assert all("=" in word for word in shlex.split(text))

    _volume = _healthcheck = lambda self, image, text: None

    def _here(self, image: Image, text: str) -> str:
        """Paths of the image as paths of the scratch folder; this Python's version instead of the base's."""
        text = TOP_FOLDERS.sub(lambda match: f"{image.root}/{match[1]}", text)
        return text.replace("python3.11", f"python{sys.version_info[0]}.{sys.version_info[1]}")


def _bring_rust(image: Image) -> None:
    """This machine's toolchain. What ``make core`` compiled of the dependencies is not compiled again."""
    cargo = shutil.which("cargo")
    assert cargo is not None
    kept = {key: value for key, value in os.environ.items() if key.startswith(("CARGO_", "RUST"))}
    home = {"CARGO_HOME": str(Path.home() / ".cargo"), "RUSTUP_HOME": str(Path.home() / ".rustup")}
    target = {"CARGO_TARGET_DIR": str(ROOT / "core" / "target")}
    path = f"{image.environment['PATH']}:{Path(cargo).parent}"
    image.environment = {**image.environment, **home, **target, **kept, "PATH": path}

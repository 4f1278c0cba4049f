"""What ``make venv`` says while pip works, with the real pip, on a terminal and in a log."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import venv
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from app.installing import Progress, Told, install
from tests import ROOT

WHEEL = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Names one package, of which there is a wheel beside it."""
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    digest = sha256((tmp_path / WHEEL).read_bytes()).hexdigest()
    path = tmp_path / "requirements.lock"
    path.write_text(f"--no-index\n--find-links {tmp_path}\ntiny==1.0 \\\n    --hash=sha256:{digest}\n")
    return path


@pytest.fixture
def pip(tmp_path: Path) -> list[str]:
    venv.create(tmp_path / "venv", with_pip=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    return [sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check"]


def site_packages(folder: Path) -> Path:
    (found,) = (folder / "venv" / "lib").glob("python*/site-packages")
    return found


def test_a_log_has_a_line_now_and_then(lock: Path, pip: list[str], tmp_path: Path) -> None:
    out = io.StringIO()
    assert install(lock, pip, Told(out, log_seconds=0.05), site_packages(tmp_path)) == 0
    lines = out.getvalue().splitlines()
    assert lines[0] == "downloading packages: 0 of 1, 0 s"
    assert lines[-1].startswith("1 packages are installed, after ")
    assert len(lines) > 2
    assert (site_packages(tmp_path) / "tiny.py").exists()


def test_what_pip_says_is_shown_when_it_fails(
    lock: Path, pip: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0000")[:-5] + "\n")
    out = io.StringIO()
    assert install(lock, pip, Told(out), site_packages(tmp_path)) != 0
    assert out.getvalue().splitlines()[-1].startswith("pip failed after ")
    assert "DO NOT MATCH THE HASHES" in capsys.readouterr().err


def test_packages_are_counted_as_pip_names_and_unpacks_them(tmp_path: Path) -> None:
    (tmp_path / "pip-24.dist-info").mkdir()
    progress = Progress(3, tmp_path)
    for line in ("Collecting a==1\n", "  Downloading a.whl (1 kB)\n", "Requirement already satisfied: b\n"):
        progress.take(line)
    assert str(progress) == "downloading packages: 2 of 3"
    progress.take("Installing collected packages: a, c\n")
    assert str(progress) == "installing packages: 0 of 2"
    (tmp_path / "a-1.dist-info").mkdir()
    assert str(progress) == "installing packages: 1 of 2"


def test_a_terminal_has_one_line_that_is_written_over() -> None:
    main, other = pty.openpty()
    code = (
        "import sys; from app.installing import Told; told = Told(sys.stdout);"
        "told.now('downloading packages: 10 of 96, 3 s'); told.now('short'); told.end('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=other, env={**os.environ, "COLUMNS": "20"}, check=True
    )
    os.close(other)
    shown = os.read(main, 4096).decode()
    os.close(main)
    assert done.returncode == 0
    assert shown == f"\rdownloading package\r{'short':19}\r{'done':19}\r\n"

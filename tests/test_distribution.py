"""What is started once is started in one process of the session."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests import ROOT

TESTS = """
import pytest

@pytest.mark.xdist_group("costly")
@pytest.mark.parametrize("number", range(6))
def test_of_a_group(number):
    pass

@pytest.mark.parametrize("number", range(6))
def test_by_itself(number):
    pass
"""


@pytest.mark.slow
def test_the_tests_of_a_group_run_in_one_process(tmp_path: Path) -> None:
    """They did not with pytest 9.2 and pytest-xdist 3.8, and nothing said so."""
    (tmp_path / "test_some.py").write_text(TESTS)
    makefile = (ROOT / "Makefile").read_text()
    (options,) = re.findall(r"^PYTEST := \$\(BIN\)/pytest -n \$\(PROCESSES\) (.*)$", makefile, re.MULTILINE)
    command = ["-m", "pytest", "-n", "2", *options.split(), "-v", "-p", "no:cacheprovider"]
    said = subprocess.run(
        [sys.executable, *command, "-c", "/dev/null", f"--rootdir={tmp_path}", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    processes = defaultdict(set)
    for process, test in re.findall(r"\[(gw\d)\] .* PASSED \S*::(test_\w+)", said):
        processes[test].add(process)
    assert len(processes["test_of_a_group"]) == 1, said
    assert processes["test_by_itself"], said

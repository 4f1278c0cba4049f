"""The one name that an installation adds: it starts Turnstile, whose five packages lie in this folder.

``rules``, ``tables``, ``agents``, ``app`` and ``bench`` are too common as names to stand in somebody's
site-packages, so only our own processes find them (docs/decisions/0026-one-installed-name.md). In a checkout
they lie beside this folder.
"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
HOME = str(_HERE if (_HERE / "rules").is_dir() else _HERE.parent)
"""The folder of the five packages."""


def find_packages() -> None:
    """Let this process, and all that it starts with ``python -m``, import the five packages."""
    # First, because another distribution may have an `app` in site-packages.
    sys.path.insert(0, HOME)
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([HOME, given] if given else [HOME])


def main() -> None:
    """Run the command line ``turnstile``."""
    find_packages()
    from app.main import main as run

    run()

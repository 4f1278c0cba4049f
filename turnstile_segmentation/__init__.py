"""The one name that an installation adds: it starts Turnstile, whose five packages lie in this folder.

``rules``, ``tables``, ``agents``, ``app`` and ``bench`` are too common as names to stand in somebody's
site-packages, so they are found only by processes of ours (docs/decisions/0026-one-installed-name.md).
In a checkout they lie beside this folder.
"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
HOME = str(_HERE if (_HERE / "rules").is_dir() else _HERE.parent)


def main() -> None:
    """Run the command line ``turnstile``."""
    # First, so that another distribution's `app` doesn't stand in front.
    sys.path.insert(0, HOME)
    # For the processes that we start with `python -m`.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HOME, os.environ.get("PYTHONPATH")]))
    from app.main import main as run

    run()

"""How many examples a test of hypothesis tries: some in every run, many in ``make fuzz``."""

from __future__ import annotations

import os
from typing import Final

_WANTED = os.environ.get("TURNSTILE_FUZZ_EXAMPLES")

IS_FUZZING: Final = _WANTED is not None
"""``make fuzz`` runs, so examples may be other ones in each run."""


def examples_of(usual: int) -> int:
    """``usual`` where nobody is fuzzing, otherwise what ``make fuzz`` asks of the test (EXAMPLES=...)."""
    return usual if _WANTED is None else int(_WANTED)

"""Which examples a test of hypothesis tries: some, alike in every run; a quarter in the quick suite; many
others in ``make fuzz``."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

_WANTED = os.environ.get("TURNSTILE_FUZZ_EXAMPLES")

IS_FUZZING: Final = _WANTED is not None
"""``make fuzz`` runs, so examples may be other ones in each run."""
IS_QUICK: Final = "TURNSTILE_TEST_QUICK" in os.environ
"""``make test-quick`` runs. ``make test`` and a plain ``pytest`` try all."""
QUICK_SHARE: Final = 4
LEAST: Final = 3


def usual(examples: int) -> int:
    """So many examples or seeds, in the quick suite a quarter of them."""
    return max(min(examples, LEAST), examples // QUICK_SHARE) if IS_QUICK else examples


def examples_of(examples: int) -> int:
    """``usual`` where nobody is fuzzing, otherwise what ``make fuzz`` asks of the test (EXAMPLES=...)."""
    return usual(examples) if _WANTED is None else int(_WANTED)


def use_profile() -> None:
    """The defaults of all tests of hypothesis: no time counts, because machines are busy with other tests,
    and a test says of the same program what it said before."""
    settings.register_profile(
        "turnstile",
        max_examples=usual(settings.default.max_examples),
        deadline=None,
        derandomize=not IS_FUZZING,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("turnstile")

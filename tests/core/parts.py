"""Parts of the native core by themselves (``core/src/python/testing_values.rs``), compared with Python's.

Tests that import this are skipped where the core isn't built. ``make fuzz`` has them try more.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from agents.evaluate.native.core import BUILD
from tests.strategies.fuzzing import examples_of

extension: Any = pytest.importorskip("turnstile_core", reason=f"the native core isn't built: {BUILD}")
core: Any = getattr(extension, "testing", None)
if not hasattr(core, "json_again"):
    pytest.skip(f"the native core is built from other sources: {BUILD}", allow_module_level=True)

many: Final = settings(
    max_examples=examples_of(300),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

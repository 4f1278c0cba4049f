"""Which engine computes, and what is said where the native core isn't built."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.evaluate.native.core import BUILD, INTERFACE, CoreMissing, native_core
from agents.evaluate.native.engine import Engine


@pytest.fixture
def without_core(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No extension can be imported."""
    monkeypatch.setitem(sys.modules, "turnstile_core", None)
    native_core.cache_clear()
    yield
    native_core.cache_clear()


@pytest.mark.usefixtures("without_core")
def test_without_the_core_auto_is_python_and_names_the_command_that_builds_it() -> None:
    engine = Engine("auto")
    assert engine.name == "python"
    assert BUILD in engine.why


@pytest.mark.usefixtures("without_core")
def test_without_the_core_native_is_refused_with_the_command_that_builds_it() -> None:
    with pytest.raises(CoreMissing, match=BUILD):
        Engine("native")


def test_python_is_python_wherever_the_core_is_built() -> None:
    engine = Engine("python")
    assert (engine.name, engine.why) == ("python", "worker.engine is python")


def test_a_core_from_before_a_change_of_what_python_calls_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "turnstile_core", SimpleNamespace(INTERFACE=INTERFACE - 1))
    native_core.cache_clear()
    try:
        engine = Engine("auto")
    finally:
        native_core.cache_clear()
    assert engine.name == "python"
    assert BUILD in engine.why


def test_each_change_of_what_python_calls_has_a_number_of_its_own() -> None:
    text = (Path(__file__).parents[4] / "core/turnstile_core.pyi").read_bytes()
    known = {6: "45dd994fbf3fb00c"}
    digest = blake2b(text, digest_size=8).hexdigest()
    assert known.get(INTERFACE) == digest, "raise INTERFACE here and in core/src/python/mod.rs"

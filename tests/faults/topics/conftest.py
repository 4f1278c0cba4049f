"""A scene of two partitions for tests of topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stage.scene import Scene, scene


@pytest.fixture
async def stage(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(kafka, topic_prefix, tmp_path, partitions=2) as made:
        yield made

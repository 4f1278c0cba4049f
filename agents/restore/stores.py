"""Where the stores of a worker lie."""

from __future__ import annotations

from pathlib import Path


def store_path(directory: Path, changelog: str, partition: int) -> Path:
    """Where the rows of a partition lie on disk."""
    return directory / f"{changelog}-{partition}"


def stores_of(directory: Path, changelog: str) -> dict[int, Path]:
    """The stores in a data directory, by partition."""
    found = {each.name.removeprefix(f"{changelog}-"): each for each in directory.glob(f"{changelog}-*")}
    return {int(number): path for number, path in sorted(found.items()) if number.isdigit() and path.is_dir()}

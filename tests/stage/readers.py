"""Real reader processes for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.stage.scene import Scene
from tests.stage.workers import Worker, environment, launch


class ReaderProcess(Worker):
    """A ``turnstile serve`` process: asked like a worker."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, object]) -> None:
        super().__init__(name, folder, settings)
        for key in ("port", "probe_port"):
            self.settings[f"serve.{key}"] = self.settings.pop(f"http.{key}")
        self.settings["serve.data_dir"] = self.settings.pop("worker.data_dir")

    def start(self, **changed: object) -> None:
        assert self.process is None
        self.settings |= {name.replace("__", "."): value for name, value in changed.items()}
        self.process = launch(["serve"], self.log_file, environment(self.settings))


def reader_of(stage: Scene, **changed: object) -> ReaderProcess:
    """A reader that is not started, one of the stage's processes."""
    made = ReaderProcess("reader", stage.folder, stage.worker(**changed).settings)
    stage.workers[-1] = made
    return made
